"""Subgroup gaps: rates equal those of fairlearn; injected gaps are found; false alarms are rare."""

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score, recall_score

from tinysight.audit.subgroups import find_subgroup_gaps
from tinysight.evaluation.confidence_intervals import bootstrap

NAMES = ("cat", "dog", "ship")


def simulate(seed, n=900, unfair=0.0):
    """Return labels, predictions and groups. "dark" holds a third of the images; its error is higher by `unfair`."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, n)
    group = random.random(n) < 1 / 3
    wrong = random.random(n) < 0.15 + unfair * group
    predicted = np.where(wrong, (labels + random.integers(1, 3, n)) % 3, labels)
    return labels, predicted, {"light": np.where(group, "dark", "bright").astype(object)}


def by_key(gaps):
    return {(gap.column, gap.group, gap.metric, gap.class_name): gap for gap in gaps}


def test_rates_equal_counts_by_hand():
    labels, predicted, columns = simulate(0)
    gaps = by_key(find_subgroup_gaps(columns, labels, predicted, NAMES))
    dark = columns["light"] == "dark"

    assert len(gaps) == 2 * (1 + 2 * 3)
    accuracy = gaps["light", "dark", "accuracy", ""]
    assert (accuracy.n, accuracy.value) == (dark.sum(), (labels == predicted)[dark].mean())
    assert accuracy.complement_value == (labels == predicted)[~dark].mean()
    missed = gaps["light", "dark", "fnr", "dog"]
    assert missed.value == (predicted[dark & (labels == 1)] != 1).mean()
    mistaken = gaps["light", "dark", "fpr", "dog"]
    assert (mistaken.n, mistaken.value) == ((dark & (labels != 1)).sum(), (predicted[dark & (labels != 1)] == 1).mean())
    for gap in gaps.values():
        assert gap.interval[0] <= gap.value <= gap.interval[1]


def test_rates_equal_those_of_fairlearn():
    labels, predicted, columns = simulate(3, unfair=0.2)
    gaps = by_key(find_subgroup_gaps(columns, labels, predicted, NAMES))

    def missed(y_true, y_pred):
        return 1 - recall_score(y_true, y_pred, labels=[1], average=None)[0]

    metrics = {"accuracy": accuracy_score, "fnr": missed}
    frame = MetricFrame(metrics=metrics, y_true=labels, y_pred=predicted, sensitive_features=columns["light"])
    for group in ("dark", "bright"):
        assert gaps["light", group, "accuracy", ""].value == pytest.approx(frame.by_group["accuracy"][group])
        assert gaps["light", group, "fnr", "dog"].value == pytest.approx(frame.by_group["fnr"][group])


def test_the_interval_equals_that_of_resampling():
    labels, predicted, columns = simulate(0)
    gap = by_key(find_subgroup_gaps(columns, labels, predicted, NAMES))["light", "dark", "accuracy", ""]
    correct = (labels == predicted)[columns["light"] == "dark"].astype(float)
    low, high = bootstrap(lambda counts: np.array([(counts * correct).sum() / counts.sum()]), len(correct))
    assert gap.interval == pytest.approx((low[0], high[0]), abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_an_injected_gap_is_significant(seed):
    gaps = by_key(find_subgroup_gaps(simulate(seed, unfair=0.3)[2], *simulate(seed, unfair=0.3)[:2], NAMES))
    assert gaps["light", "dark", "accuracy", ""].significant


def test_false_alarms_are_rare():
    alarms = 0
    for seed in range(20):
        labels, predicted, columns = simulate(seed)
        alarms += any(gap.significant for gap in find_subgroup_gaps(columns, labels, predicted, NAMES))
    assert alarms <= 1


def test_images_without_a_group_are_excluded():
    labels, predicted, columns = simulate(0)
    columns["light"][:300] = ""
    gaps = by_key(find_subgroup_gaps(columns, labels, predicted, NAMES))
    assert {group for _, group, *_ in gaps} == {"dark", "bright"}
    assert gaps["light", "dark", "accuracy", ""].n + gaps["light", "bright", "accuracy", ""].n == 600


def test_a_class_without_images_in_a_group_has_no_false_negative_rate():
    labels, predicted, columns = simulate(0)
    columns["light"][(labels == 2)] = "bright"
    gaps = by_key(find_subgroup_gaps(columns, labels, predicted, NAMES))
    assert ("light", "dark", "fnr", "ship") not in gaps
    assert ("light", "dark", "fpr", "ship") in gaps


def test_a_single_group_has_no_gaps():
    labels, predicted, _ = simulate(0)
    assert find_subgroup_gaps({"all": np.full(len(labels), "same", dtype=object)}, labels, predicted, NAMES) == ()
