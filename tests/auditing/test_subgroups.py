"""Subgroups: image properties, gaps that equal those of fairlearn, and findings that are rarely false."""

from dataclasses import replace

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame
from PIL import Image
from scipy.ndimage import gaussian_filter, laplace
from scipy.stats import bootstrap, chi2, fisher_exact
from sklearn.metrics import accuracy_score, recall_score

from tinysight._util.errors import DataError
from tinysight._util.progress import SILENT
from tinysight.auditing.context import AuditContext
from tinysight.auditing.sections.subgroups import (
    ALPHA,
    TERCILES,
    FileSubgroups,
    PropertySubgroups,
    SubgroupGap,
    find_subgroup_gaps,
    image_properties,
    original_side_lengths,
    property_subgroups,
    read_groups,
    terciles,
)
from tinysight.evaluation.significance import holm_correction
from tinysight.runs.run import Run

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
    interval = bootstrap((correct,), np.mean, n_resamples=1000, method="percentile", rng=0).confidence_interval
    assert gap.interval == pytest.approx((interval.low, interval.high), abs=0.01)


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


def test_properties_of_more_than_1000_images_equal_numpy():
    pixels = np.random.default_rng(2).integers(0, 256, (1003, 3, 6, 9), dtype=np.uint8)
    properties = image_properties(pixels)
    red, green, blue = pixels.transpose(1, 0, 2, 3).astype(float)
    gray = 0.299 * red + 0.587 * green + 0.114 * blue
    first, second = red - green, (red + green) / 2 - blue
    spread = (first.var((1, 2)) + second.var((1, 2))) ** 0.5
    distance = (first.mean((1, 2)) ** 2 + second.mean((1, 2)) ** 2) ** 0.5
    assert np.allclose(properties["brightness"], gray.mean((1, 2)), rtol=1e-4)
    assert np.allclose(properties["contrast"], gray.std((1, 2)), rtol=1e-4)
    assert np.allclose(properties["colorfulness"], spread + 0.3 * distance, rtol=1e-4)
    assert {len(values) for values in properties.values()} == {1003}


def test_values_on_an_edge_belong_to_the_lower_tercile():
    assert list(terciles(np.array([0.0, 1, 2, 3]))) == ["low", "low", "middle", "high"]  # edges at 1 and 2
    assert list(terciles(np.arange(5.0))) == ["low", "low", "middle", "high", "high"]  # edges at 4/3 and 8/3


def gap_with(**changes):
    values = {
        "column": "camera", "group": "old", "metric": "accuracy", "class_name": "", "n": 1200, "value": 0.5,
        "interval": (0.4, 0.6), "complement_value": 0.75, "p_value": 0.004, "difference_within_classes": -0.2,
        "p_value_within_classes": 0.001, "significant": True,
    }  # fmt: skip
    return SubgroupGap(**values | changes)


@pytest.mark.parametrize(
    ("metric", "value", "is_worse"),
    [
        ("accuracy", 0.7, True),
        ("accuracy", 0.75, False),
        ("accuracy", 0.8, False),
        ("fnr", 0.7, False),
        ("fnr", 0.75, False),
        ("fpr", 0.8, True),
    ],
)
def test_lower_accuracy_and_higher_error_rates_are_worse(metric, value, is_worse):
    gap = gap_with(metric=metric, value=value)
    assert gap.is_worse is is_worse
    assert gap.difference == pytest.approx(value - 0.75)


def test_p_values_are_those_of_fisher_with_holms_correction():
    labels, predicted, columns = simulate(4, n=150, unfair=0.1)
    gaps = find_subgroup_gaps(columns, labels, predicted, NAMES)
    p_values = []
    for gap in gaps:
        inside = columns["light"] == gap.group
        if gap.metric == "accuracy":
            base, hits = np.ones(150, dtype=bool), labels == predicted
        else:
            index = NAMES.index(gap.class_name)
            base = (labels == index) if gap.metric == "fnr" else (labels != index)
            hits = (predicted != index) if gap.metric == "fnr" else (predicted == index)
        table = [[(base & side & hits).sum(), (base & side & ~hits).sum()] for side in (inside, ~inside)]
        assert gap.n == sum(table[0])
        p_values.append(fisher_exact(table).pvalue)
    assert [gap.p_value for gap in gaps] == pytest.approx(holm_correction(p_values))


def paired_tables(n_hits_inside, n_hits_outside, n=20):
    """One class and two groups of `n` images; return the gap of the accuracy of the first group."""
    hits = np.concatenate([np.arange(n) < n_hits_inside, np.arange(n) < n_hits_outside])
    groups = np.repeat(np.array(["a", "b"], dtype=object), n)
    labels = np.zeros(2 * n, dtype=int)
    return by_key(find_subgroup_gaps({"g": groups}, labels, np.where(hits, 0, 1), NAMES[:2]))["g", "a", "accuracy", ""]


def test_findings_need_p_values_of_at_most_1_percent():
    assert ALPHA == 0.01
    findings = [paired_tables(hits, 19) for hits in range(20)]
    for gap in findings:
        expected = gap.p_value <= 0.01 and gap.p_value_within_classes <= 0.01
        assert gap.significant is expected
    assert {gap.significant for gap in findings} == {True, False}


def test_the_within_class_test_has_no_variance_if_all_images_agree():
    gap = paired_tables(20, 20)
    assert (gap.difference_within_classes, gap.p_value_within_classes) == (0.0, 1.0)


def test_a_class_of_one_image_on_each_side_counts_within_classes():
    """The variance of a class of 2 images: 1 * 1 * 1 * 1 / (4 * 1)."""
    gap = paired_tables(0, 1, n=1)
    assert gap.difference_within_classes == -1
    assert gap.p_value_within_classes == pytest.approx(chi2.sf(0.25 / 0.25, 1))


def test_classes_on_one_side_only_are_left_out_within_classes():
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    groups = np.array(list("aabbaabb"), dtype=object)
    predicted = np.array([0, 1, 0, 0, 1, 1, 0, 0])
    gap = by_key(find_subgroup_gaps({"g": groups}, labels, predicted, NAMES))["g", "a", "accuracy", ""]
    assert (gap.value, gap.complement_value) == (0.75, 0.5)
    assert gap.difference_within_classes == -0.5  # only class 0 has images on both sides


def test_the_summary_describes_the_widest_finding():
    gaps = (
        gap_with(),
        gap_with(metric="fnr", class_name="cat", value=0.9, complement_value=0.2, n=40),
        gap_with(metric="fpr", value=1.0, complement_value=0.0, significant=False),
    )
    assert FileSubgroups().summarize(gaps) == (
        "2 significant of 3 comparisons; widest: false-negative rate of cat 90.0% for camera old (n = 40), "
        "20.0% for all others"
    )


def test_the_summary_without_findings_states_the_largest_group():
    gaps = (gap_with(n=40, significant=False), gap_with(significant=False))
    assert FileSubgroups().summarize(gaps) == (
        "no group does significantly worse in 2 comparisons (n = 1,200 images at most)"
    )
    assert FileSubgroups().summarize(()) == (
        "no group does significantly worse in 0 comparisons (n = 0 images at most)"
    )


def test_rows_show_findings_first_and_then_the_widest_gaps():
    gaps = (
        gap_with(group="narrow", value=0.7, significant=False, difference_within_classes=None, p_value=0.25),
        gap_with(group="wide", value=0.1, significant=False, p_value=1e-4, n=30),
        gap_with(group="found", p_value=9e-5),
        gap_with(group="better", value=0.9, n=20),
    )
    (table,) = FileSubgroups().rows(gaps, limit=9)
    assert table.columns == ("group", "metric", "in the group", "all others", "within classes", "n", "p-value")
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["camera: found", "accuracy", "50.0%", "75.0%", "-20.00", "1,200", "< 0.0001"],
        ["camera: wide", "accuracy", "10.0%", "75.0%", "-20.00", "30", "0.0001"],
        ["camera: narrow", "accuracy", "70.0%", "75.0%", "", "1,200", "0.25"],
    ]
    assert table.rows[0].cells[2].detail == "40.0% to 60.0%"
    assert [row.highlight for row in table.rows] == [True, False, False]
    assert table.n_total == 3
    assert table.note.startswith("Highlighted: 2 significant gaps (Fisher's exact test with Holm's correction")
    assert "level 0.01)" in table.note
    assert table.note.endswith(" Smallest group: camera better (n = 20).")


def test_the_note_names_no_smallest_group_without_accuracies():
    (table,) = FileSubgroups().rows((gap_with(metric="fnr", class_name="cat", value=0.9),), limit=1)
    assert table.note.endswith("Groups that do better are in audit.json only.")
    assert table.rows[0].cells[1].text == "false-negative rate of cat"


IDS = ("a.png", "b.png", "c.png")


def test_groups_are_read_by_column_and_image(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("image,camera,age\nc.png, old ,\na.png,new,7\n")
    columns = read_groups(path, IDS, "pets")
    assert {name: list(values) for name, values in columns.items()} == {
        "camera": ["new", "", "old"],
        "age": ["7", "", ""],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image\na.png\n", "no column of groups beside 'image'. Add one, such as `age` or `camera`."),
        ("image,camera\nd.png,old\n", "images not in the test set of pets: d.png. Remove these lines."),
    ],
)
def test_messages_of_refused_group_files_are_complete(tmp_path, text, message):
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_groups(path, IDS, "pets")
    assert str(error.value) == f"{path}: {message}"


def test_the_original_size_is_the_geometric_mean_of_the_sides(tmp_path):
    for name, size in (("a.png", (40, 90)), ("b.png", (7, 7))):
        Image.new("RGB", size).save(tmp_path / name)
    assert original_side_lengths(tmp_path, ("a.png", "b.png")).tolist() == pytest.approx([60, 7])


def test_a_folder_has_the_original_size_as_a_property(trained, photos):
    context = AuditContext.from_run(Run(trained))
    assert "original size" not in {gap.column for gap in PropertySubgroups().compute(context, SILENT)}
    names = sorted(str(path.relative_to(photos)) for path in photos.rglob("*.png"))[:30]
    test = replace(context.dataset.test, files=tuple(names))
    context = replace(context, dataset=replace(context.dataset, folder=photos, test=test))
    gaps = PropertySubgroups().compute(context, SILENT)
    assert {gap.group for gap in gaps if gap.column == "original size"} == set(TERCILES)
