"""Comparing classifiers: tests and intervals that do what they say, on planted and on equal ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, false_discovery_control

from tinysight.evaluation.comparison import compare, difference_interval, holm, mcnemar


def answers(random, n, better=0.0, accuracy=0.8):
    """Two classifiers that mostly err on the same images; the first is right about `better` of all others as well."""
    first = random.random(n) < accuracy
    second = np.where(random.random(n) < 0.1, random.random(n) < accuracy, first)
    return first | (random.random(n) < better), second


def test_the_chance_is_that_of_so_many_heads_and_tails():
    first, second = np.array([True] * 12 + [False] * 3 + [True] * 50), np.array([False] * 12 + [True] * 3 + [True] * 50)
    assert mcnemar(first, second) == pytest.approx(2 * binom.sf(11, 15, 0.5))


def test_classifiers_that_never_disagree_are_not_told_apart():
    same = np.array([True, False, True])
    assert mcnemar(same, same) == 1.0
    low, high = difference_interval(same, same)
    assert low <= 0 <= high


def test_equal_classifiers_seldom_look_different():
    random = np.random.default_rng(0)
    trials = [answers(random, 500) for _ in range(400)]
    alarms = sum(mcnemar(*trial) < 0.05 for trial in trials)
    held = sum(low <= 0 <= high for low, high in (difference_interval(*trial) for trial in trials))

    assert alarms <= 30  # of 400, where 20 are expected at most
    assert held >= 370


@pytest.mark.parametrize("n", [100, 1000])
def test_the_interval_holds_a_planted_difference_nineteen_times_of_twenty(n):
    random, better = np.random.default_rng(1), 0.3
    held = 0
    for _ in range(400):
        low, high = difference_interval(*answers(random, n, better))
        held += low <= better * 0.2 <= high  # of the fifth that it would get wrong
    assert 368 <= held <= 396


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(arrays(np.bool_, n), arrays(np.bool_, n))))
def test_turning_the_comparison_round_turns_the_interval_round(pair):
    first, second = pair
    low, high = difference_interval(first, second)
    difference = first.mean() - second.mean()

    assert difference_interval(second, first) == pytest.approx((-high, -low), abs=1e-12)
    assert -1 - 1e-12 <= low <= difference + 1e-12
    assert difference - 1e-12 <= high <= 1 + 1e-12


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction_is_no_laxer_than_benjamini_hochbergs_and_no_stricter_than_bonferronis(chances):
    corrected = holm(chances)
    assert all(
        chance <= one <= min(1.0, len(chances) * chance) + 1e-12 for chance, one in zip(chances, corrected, strict=True)
    )
    assert np.all(np.array(corrected) >= false_discovery_control(chances) - 1e-12)
    assert np.array_equal(np.argsort(corrected, kind="stable"), np.argsort(np.minimum(corrected, 1), kind="stable"))


def test_holms_correction_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_every_two_are_compared_and_the_better_one_is_found():
    random = np.random.default_rng(2)
    good, bad = answers(random, 2000, better=0.3)
    found = compare({"good": good, "bad": bad, "good again": good})
    by_pair = {(one.first, one.second): one for one in found}

    assert set(by_pair) == {("good", "bad"), ("good", "good again"), ("bad", "good again")}
    clear = by_pair["good", "bad"]
    assert clear.p < clear.p_corrected < 0.001
    assert 0 < clear.interval[0] < clear.difference < clear.interval[1]
    assert clear.only_first - clear.only_second == round(clear.difference * 2000)
    assert by_pair["good", "good again"].p_corrected == 1.0
