"""Significance tests: reference values, error rates and coverage."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, false_discovery_control, norm

from tinysight._util.errors import InputError
from tinysight.evaluation.evaluate import evaluate
from tinysight.evaluation.significance import (
    compare_classifiers,
    compare_runs,
    difference_interval,
    holm_correction,
    mcnemar,
)
from tinysight.runs.run import Run


def correctness(random, n, better=0.0, accuracy=0.8):
    """Return correctness of two correlated classifiers; the first also corrects a fraction `better` of its errors."""
    first = random.random(n) < accuracy
    second = np.where(random.random(n) < 0.1, random.random(n) < accuracy, first)
    return first | (random.random(n) < better), second


def test_mcnemar_equals_binomial_test():
    first, second = np.array([True] * 12 + [False] * 3 + [True] * 50), np.array([False] * 12 + [True] * 3 + [True] * 50)
    assert mcnemar(first, second) == pytest.approx(2 * binom.sf(11, 15, 0.5))


def test_identical_predictions_have_p_value_1():
    same = np.array([True, False, True])
    assert mcnemar(same, same) == 1.0
    low, high = difference_interval(same, same)
    assert low <= 0 <= high


def test_false_positive_rate_of_equal_classifiers():
    random = np.random.default_rng(0)
    trials = [correctness(random, 500) for _ in range(400)]
    false_positives = sum(mcnemar(*trial) < 0.05 for trial in trials)
    covered = sum(low <= 0 <= high for low, high in (difference_interval(*trial) for trial in trials))

    assert false_positives <= 30  # of 400; at most 20 are expected
    assert covered >= 370


@pytest.mark.parametrize("n", [100, 1000])
def test_difference_interval_coverage_is_95_percent(n):
    random, better = np.random.default_rng(1), 0.3
    covered = 0
    for _ in range(400):
        low, high = difference_interval(*correctness(random, n, better))
        covered += low <= better * 0.2 <= high  # accuracy is 0.8, so it corrects a fraction of 0.2
    assert 368 <= covered <= 396


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(arrays(np.bool_, n), arrays(np.bool_, n))))
def test_difference_interval_is_antisymmetric(pair):
    first, second = pair
    low, high = difference_interval(first, second)
    difference = first.mean() - second.mean()

    assert difference_interval(second, first) == pytest.approx((-high, -low), abs=1e-12)
    assert -1 - 1e-12 <= low <= difference + 1e-12
    assert difference - 1e-12 <= high <= 1 + 1e-12


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_benjamini_hochberg_and_bonferroni(p_values):
    corrected = holm_correction(p_values)
    assert all(
        p <= adjusted <= min(1.0, len(p_values) * p) + 1e-12 for p, adjusted in zip(p_values, corrected, strict=True)
    )
    assert np.all(np.array(corrected) >= false_discovery_control(p_values) - 1e-12)
    assert np.array_equal(np.argsort(corrected, kind="stable"), np.argsort(np.minimum(corrected, 1), kind="stable"))


def test_holm_worked_example():
    assert holm_correction([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_all_pairs_are_compared_and_better_classifier_is_significant():
    random = np.random.default_rng(2)
    good, bad = correctness(random, 2000, better=0.3)
    comparisons = compare_classifiers({"good": good, "bad": bad, "good again": good})
    by_pair = {(pair.first, pair.second): pair for pair in comparisons}

    assert set(by_pair) == {("good", "bad"), ("good", "good again"), ("bad", "good again")}
    significant = by_pair["good", "bad"]
    assert significant.p_value < significant.p_value_holm < 0.001
    assert 0 < significant.interval[0] < significant.difference < significant.interval[1]
    assert significant.only_first - significant.only_second == round(significant.difference * 2000)
    assert by_pair["good", "good again"].p_value_holm == 1.0


def from_counts(both, only_first, only_second, neither):
    """Return the correctness of two classifiers with these counts of images."""
    counts = (both, only_first, only_second, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def newcombe_interval(both, only_first, only_second, neither):
    """Method 10 of Newcombe (1998) from the 2 x 2 table, with the roots of the score equation as Wilson bounds."""
    n, z2 = both + only_first + only_second + neither, norm.ppf(0.975) ** 2
    bounds = []
    for hits in (both + only_first, both + only_second):
        p = hits / n
        bounds.append((p, *sorted(np.roots([1 + z2 / n, -(2 * p + z2 / n), p**2]).real)))
    (p, p_low, p_high), (q, q_low, q_high) = bounds
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    product = both * neither - only_first * only_second
    corrected = max(product - n / 2, 0) if product > 0 else product
    phi = corrected / margins**0.5 if margins else 0.0
    low = ((p - p_low) ** 2 - 2 * phi * (p - p_low) * (q_high - q) + (q_high - q) ** 2) ** 0.5
    high = ((q - q_low) ** 2 - 2 * phi * (q - q_low) * (p_high - p) + (p_high - p) ** 2) ** 0.5
    return p - q - low, p - q + high


@pytest.mark.parametrize(
    "counts",
    [
        (36, 12, 2, 0),
        (20, 9, 4, 17),
        (2, 20, 14, 3),  # negative correlation
        (10, 3, 2, 1),  # a positive correlation that the correction lowers to 0
        (400, 60, 30, 110),
        (0, 5, 5, 0),
        (7, 0, 0, 3),
    ],
)
def test_difference_interval_equals_method_10_of_newcombe(counts):
    assert difference_interval(*from_counts(*counts)) == pytest.approx(newcombe_interval(*counts), abs=1e-7)


@given(st.tuples(*[st.integers(0, 30)] * 4).filter(any))
def test_difference_interval_equals_method_10_for_all_tables(counts):
    assert difference_interval(*from_counts(*counts)) == pytest.approx(newcombe_interval(*counts), abs=1e-6)


def test_mcnemar_counts_only_images_that_one_classifier_gets_right():
    assert mcnemar(*from_counts(50, 1, 9, 30)) == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(*from_counts(50, 0, 1, 30)) == 1.0
    assert mcnemar(*from_counts(0, 4, 0, 0)) == pytest.approx(2 / 2**4)


def test_holm_correction_of_none_one_and_equal_p_values():
    assert holm_correction([]) == []
    assert holm_correction([0.2]) == [0.2]
    assert holm_correction([0.02, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm_correction([0.9, 0.6]) == [1.0, 1.0]


def test_a_comparison_states_the_counts_and_the_difference():
    first, second = from_counts(50, 12, 3, 35)
    (pair,) = compare_classifiers({"a": first, "b": second})
    assert (pair.first, pair.second, pair.only_first, pair.only_second) == ("a", "b", 12, 3)
    assert pair.difference == pytest.approx(0.09)
    assert pair.interval == difference_interval(first, second)
    assert pair.p_value == pair.p_value_holm == pytest.approx(2 * binom.sf(11, 15, 0.5))


def test_p_values_of_three_classifiers_are_corrected_together():
    a, b = from_counts(50, 12, 3, 35)
    _, c = from_counts(50, 12, 0, 38)
    comparisons = compare_classifiers({"a": a, "b": b, "c": c})
    p_values = [pair.p_value for pair in comparisons]
    assert p_values == [mcnemar(a, b), mcnemar(a, c), mcnemar(b, c)]
    assert [pair.p_value_holm for pair in comparisons] == holm_correction(p_values)


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    run = Run(shutil.copytree(trained, tmp_path_factory.mktemp("evaluated") / "run"))
    evaluate(run)
    return run.path


@pytest.fixture
def runs(evaluated, tmp_path):
    """Three evaluated runs, of which two have directories of the same name."""
    return [Run(shutil.copytree(evaluated, tmp_path / name)) for name in ("one", "two", "deep/one")]


def predict_as(run, answers):
    _, labels = run.predictions()
    run.write_predictions(np.eye(10, dtype=np.float32)[answers], labels)


def test_runs_are_compared_by_their_saved_predictions(runs):
    labels = runs[0].predictions()[1]
    wrong = (labels + 1) % 10
    predict_as(runs[0], np.where(np.arange(30) < 20, labels, wrong))
    predict_as(runs[1], np.where(np.arange(30) < 12, labels, wrong))
    comparison = compare_runs(runs[:2])
    assert list(comparison.runs.items()) == [("one", runs[0]), ("two", runs[1])]
    assert comparison.split == "test"
    assert np.array_equal(comparison.labels, labels)
    assert np.array_equal(comparison.predictions["two"], np.where(np.arange(30) < 12, labels, wrong))
    (pair,) = comparison.comparisons
    assert (pair.first, pair.second, pair.only_first, pair.only_second) == ("one", "two", 8, 0)
    assert comparison.only_correct("one").tolist() == list(range(12, 20))
    assert comparison.only_correct("two").tolist() == []


def test_only_correct_needs_all_other_runs_to_be_wrong(runs):
    labels = runs[0].predictions()[1]
    for run, correct in zip(runs, ({0, 1, 2}, {1, 3}, {2, 3, 4}), strict=True):
        predict_as(run, np.where(np.isin(np.arange(30), list(correct)), labels, (labels + 1) % 10))
    comparison = compare_runs(runs)
    names = list(comparison.runs)
    assert names == [str(runs[0].path), "two", str(runs[2].path)]  # two directories are named "one"
    assert [comparison.only_correct(name).tolist() for name in names] == [[0], [], [4]]
    assert len(comparison.comparisons) == 3


def test_runs_that_cannot_be_compared_are_refused(runs):
    one, two, _ = runs
    with pytest.raises(InputError) as error:
        compare_runs([one])
    assert str(error.value) == "compare: needs at least two runs. Pass another run."
    with pytest.raises(InputError) as error:
        compare_runs([one, two, Run(one.path / ".." / "one")])
    assert str(error.value) == f"{one.path}: passed twice. Pass different runs."
    evaluate(two, split="validation")
    with pytest.raises(InputError) as error:
        compare_runs([one, two])
    assert str(error.value) == (
        f"{one.path}: evaluated on the test split, but {two.path} on the validation split. "
        "Evaluate both on the same split."
    )


def test_runs_on_other_images_or_labels_are_refused(runs):
    one, two, three = runs
    probabilities, labels = two.predictions()
    two.write_predictions(probabilities, (labels + 1) % 10)
    with pytest.raises(InputError) as error:
        compare_runs([one, two])
    assert str(error.value) == (
        f"{one.path}: not evaluated on the same images as the other runs. Evaluate all runs again."
    )
    environment = three.environment()
    dataset = environment.dataset.model_copy(update={"fingerprint": "0" * 64})
    three.write_environment(environment.model_copy(update={"dataset": dataset}))
    with pytest.raises(InputError) as error:
        compare_runs([one, three])
    assert str(error.value) == (
        f"{one.path}: trained on a different dataset than {three.path}. Compare runs of one dataset."
    )
