import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tinysight.evaluation.confidence_intervals import wilson_interval


@st.composite
def outcomes(draw):
    trials = draw(st.integers(1, 100_000))
    return draw(st.integers(0, trials)), trials


@given(outcomes(), st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None)
def test_wilson_interval_equals_scipy(outcome, confidence):
    reference = binomtest(*outcome).proportion_ci(confidence_level=confidence, method="wilson")

    assert wilson_interval(*outcome, confidence) == pytest.approx(tuple(reference), rel=1e-9, abs=1e-12)


@given(outcomes())
@settings(deadline=None)
def test_wilson_interval_contains_proportion_and_stays_in_0_1(outcome):
    low, high = wilson_interval(*outcome)

    assert 0 <= low <= outcome[0] / outcome[1] <= high <= 1
    assert low < high


def test_wilson_interval_of_10000_images():
    low, high = wilson_interval(6519, 10_000)

    assert (low, high) == (pytest.approx(0.6425, abs=5e-5), pytest.approx(0.6612, abs=5e-5))
