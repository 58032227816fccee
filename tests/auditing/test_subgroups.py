"""Subgroups: image properties, gaps that equal those of fairlearn, and findings that are rarely false."""

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame
from scipy.ndimage import gaussian_filter, laplace
from scipy.stats import chi2
from sklearn.metrics import accuracy_score, recall_score

from tinysight.auditing.sections.subgroups import (
    TERCILES,
    FileSubgroups,
    find_subgroup_gaps,
    image_properties,
    property_subgroups,
    terciles,
)
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


def test_a_group_that_does_better_is_no_finding():
    """In a column of two groups, one row mirrors the other."""
    labels, predicted, columns = simulate(0, unfair=0.3)
    gaps = by_key(find_subgroup_gaps(columns, labels, predicted, NAMES))
    worse, better = gaps["light", "dark", "accuracy", ""], gaps["light", "bright", "accuracy", ""]
    assert worse.p_value == pytest.approx(better.p_value)
    assert (worse.significant, worse.is_worse) == (True, True)
    assert (better.significant, better.is_worse) == (False, False)


def test_a_group_that_coincides_with_a_hard_class_is_no_finding():
    labels, predicted, _ = simulate(0)
    predicted = np.where((labels == 0) & (np.arange(len(labels)) % 2 == 0), 1, predicted)  # half of the cats are missed
    columns = {"place": np.where(labels == 0, "indoors", "outdoors").astype(object)}
    gap = by_key(find_subgroup_gaps(columns, labels, predicted, NAMES))["place", "indoors", "accuracy", ""]
    assert gap.p_value < 1e-6
    assert gap.difference < -0.2
    assert (gap.difference_within_classes, gap.p_value_within_classes) == (None, 1.0)
    assert not gap.significant


def test_a_group_of_mostly_hard_images_has_no_difference_within_classes():
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, 3000)
    indoors = random.random(3000) < np.where(labels == 0, 0.9, 0.1)
    wrong = random.random(3000) < np.where(labels == 0, 0.5, 0.05)
    columns = {"place": np.where(indoors, "indoors", "outdoors").astype(object)}
    gaps = by_key(find_subgroup_gaps(columns, labels, np.where(wrong, (labels + 1) % 3, labels), NAMES))
    gap = gaps["place", "indoors", "accuracy", ""]
    assert gap.difference < -0.2
    assert abs(gap.difference_within_classes) < 0.05
    assert not gap.significant


def test_the_within_class_comparison_equals_the_formulas_of_mantel_and_haenszel():
    """Two classes of 4 + 4 and 6 + 2 images, by hand."""
    labels = np.repeat([0, 1], 8)
    group = np.array(list("aaaabbbb" + "aaaaaabb"), dtype=object)
    predicted = labels.copy()
    predicted[[0, 1, 2, 4, 8]] = 1 - labels[[0, 1, 2, 4, 8]]
    gap = by_key(find_subgroup_gaps({"g": group}, labels, predicted, NAMES[:2]))["g", "a", "accuracy", ""]
    # accuracy: class 0: 1/4 against 3/4; class 1: 5/6 against 2/2; weights 4 * 4 / 8 and 6 * 2 / 8
    assert gap.difference_within_classes == pytest.approx((-0.5 * 2 - 1 / 6 * 1.5) / 3.5)
    # excess: 1 - 4 * 4 / 8 and 5 - 6 * 7 / 8; variance: 4 * 4 * 4 * 4 / (64 * 7) and 6 * 2 * 7 * 1 / (64 * 7)
    statistic = (-1 - 0.25) ** 2 / (256 / 448 + 84 / 448)
    assert gap.p_value_within_classes == pytest.approx(chi2.sf(statistic, 1))


def test_perfect_groups_have_intervals_that_do_not_degenerate():
    labels = np.zeros(12, dtype=int)
    group = np.array(["a"] * 6 + ["b"] * 6, dtype=object)
    gap = by_key(find_subgroup_gaps({"g": group}, labels, labels, ("cat",)))["g", "a", "accuracy", ""]
    assert gap.interval == pytest.approx((0.61, 1.0), abs=0.005)


def test_the_table_lists_only_groups_that_do_worse_findings_first():
    labels, predicted, columns = simulate(0, unfair=0.3)
    gaps = find_subgroup_gaps(columns, labels, predicted, NAMES)
    (table,) = FileSubgroups().rows(gaps, limit=4)
    assert table.n_total == sum(gap.is_worse for gap in gaps)
    assert len(table.rows) == 4
    assert table.rows[0].highlight
    assert {row.cells[0].text for row in table.rows if row.highlight} == {"light: dark"}
    n_significant = sum(gap.significant for gap in gaps)
    assert FileSubgroups().summarize(gaps).startswith(f"{n_significant} significant of {len(gaps)} comparisons; widest")


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(60, 190, (30, 3, 32, 32), dtype=np.uint8)


def test_adding_a_constant_changes_only_brightness(noise):
    plain, brighter = image_properties(noise), image_properties(noise + np.uint8(40))
    assert np.allclose(brighter["brightness"], plain["brightness"] + 40, atol=0.01)
    for name in ("contrast", "colorfulness", "sharpness"):
        assert np.allclose(brighter[name], plain[name], rtol=1e-3)


def test_a_gray_image_has_no_colorfulness(noise):
    gray = np.repeat(noise[:, :1], 3, axis=1)
    assert np.allclose(image_properties(gray)["colorfulness"], 0, atol=1e-4)
    assert (image_properties(noise)["colorfulness"] > 20).all()


def test_blurring_lowers_sharpness_and_contrast(noise):
    blurred = gaussian_filter(noise, (0, 0, 1, 1))
    for name in ("sharpness", "contrast"):
        assert (image_properties(blurred)[name] < 0.7 * image_properties(noise)[name]).all()


def test_sharpness_is_the_variance_of_scipys_laplacian(noise):
    gray = np.einsum("nchw,c->nhw", noise.astype(float), [0.299, 0.587, 0.114])
    reference = [laplace(image)[1:-1, 1:-1].var() for image in gray]
    assert np.allclose(image_properties(noise)["sharpness"], reference, rtol=1e-3)


def test_terciles_are_ordered_and_of_equal_size():
    assigned = terciles(np.random.default_rng(0).permutation(300).astype(float))
    assert [int((assigned == name).sum()) for name in TERCILES] == [100, 100, 100]
    assert list(terciles(np.array([5.0, 1.0, 9.0]))) == ["middle", "low", "high"]


def test_equal_values_share_a_tercile():
    assert len(set(terciles(np.full(10, 3.0)))) == 1


def test_every_property_has_a_tercile_per_image(noise):
    assert set(property_subgroups(noise)) == {"brightness", "contrast", "colorfulness", "sharpness"}
    assert all(len(terciles) == 30 for terciles in property_subgroups(noise).values())
