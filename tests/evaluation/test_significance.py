"""Significance tests: reference values, error rates and coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, false_discovery_control

from tinysight.evaluation.significance import compare_classifiers, difference_interval, holm_correction, mcnemar


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
