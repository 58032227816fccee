"""Gaps between groups: a planted one is found, chance is not taken for one, figures are those of a count by hand."""

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score, recall_score

from tinysight.audit.groups import find_gaps
from tinysight.evaluation.bootstrap import bootstrap

NAMES = ("cat", "dog", "ship")


def answered(seed, n=900, unfair=0.0):
    """Labels, answers and a group of a third; of that group, a share of `unfair` more answers are wrong."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, n)
    group = random.random(n) < 1 / 3
    wrong = random.random(n) < 0.15 + unfair * group
    answers = np.where(wrong, (labels + random.integers(1, 3, n)) % 3, labels)
    return labels, answers, {"light": np.where(group, "dark", "bright").astype(object)}


def by_key(gaps):
    return {(gap.column, gap.group, gap.figure, gap.class_name): gap for gap in gaps}


def test_every_figure_is_the_share_that_a_count_gives():
    labels, answers, columns = answered(0)
    gaps = by_key(find_gaps(columns, labels, answers, NAMES))
    dark = columns["light"] == "dark"

    assert len(gaps) == 2 * (1 + 2 * 3)
    accuracy = gaps["light", "dark", "accuracy", ""]
    assert (accuracy.n, accuracy.share) == (dark.sum(), (labels == answers)[dark].mean())
    assert accuracy.others == (labels == answers)[~dark].mean()
    missed = gaps["light", "dark", "missed", "dog"]
    assert missed.share == (answers[dark & (labels == 1)] != 1).mean()
    mistaken = gaps["light", "dark", "mistaken", "dog"]
    assert (mistaken.n, mistaken.share) == ((dark & (labels != 1)).sum(), (answers[dark & (labels != 1)] == 1).mean())
    for gap in gaps.values():
        assert gap.interval[0] <= gap.share <= gap.interval[1]


def test_the_figures_are_fairlearns():
    labels, answers, columns = answered(3, unfair=0.2)
    gaps = by_key(find_gaps(columns, labels, answers, NAMES))

    def missed(truth, told):
        return 1 - recall_score(truth, told, labels=[1], average=None)[0]

    metrics = {"accuracy": accuracy_score, "missed": missed}
    frame = MetricFrame(metrics=metrics, y_true=labels, y_pred=answers, sensitive_features=columns["light"])
    for group in ("dark", "bright"):
        assert gaps["light", group, "accuracy", ""].share == pytest.approx(frame.by_group["accuracy"][group])
        assert gaps["light", group, "missed", "dog"].share == pytest.approx(frame.by_group["missed"][group])


def test_the_interval_is_what_resampling_comes_to():
    labels, answers, columns = answered(0)
    gap = by_key(find_gaps(columns, labels, answers, NAMES))["light", "dark", "accuracy", ""]
    right = (labels == answers)[columns["light"] == "dark"].astype(float)
    low, high = bootstrap(lambda counts: np.array([(counts * right).sum() / counts.sum()]), len(right))
    assert gap.interval == pytest.approx((low[0], high[0]), abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_unfairness_raises_an_alarm(seed):
    gaps = by_key(find_gaps(answered(seed, unfair=0.3)[2], *answered(seed, unfair=0.3)[:2], NAMES))
    assert gaps["light", "dark", "accuracy", ""].alarm


def test_chance_seldom_does():
    alarms = 0
    for seed in range(20):
        labels, answers, columns = answered(seed)
        alarms += any(gap.alarm for gap in find_gaps(columns, labels, answers, NAMES))
    assert alarms <= 1


def test_images_of_no_group_are_left_out():
    labels, answers, columns = answered(0)
    columns["light"][:300] = ""
    gaps = by_key(find_gaps(columns, labels, answers, NAMES))
    assert {group for _, group, *_ in gaps} == {"dark", "bright"}
    assert gaps["light", "dark", "accuracy", ""].n + gaps["light", "bright", "accuracy", ""].n == 600


def test_a_class_that_a_group_lacks_has_no_figure_there():
    labels, answers, columns = answered(0)
    columns["light"][(labels == 2)] = "bright"
    gaps = by_key(find_gaps(columns, labels, answers, NAMES))
    assert ("light", "dark", "missed", "ship") not in gaps
    assert ("light", "dark", "mistaken", "ship") in gaps


def test_one_group_alone_has_nothing_to_be_held_against():
    labels, answers, _ = answered(0)
    assert find_gaps({"all": np.full(len(labels), "same", dtype=object)}, labels, answers, NAMES) == ()
