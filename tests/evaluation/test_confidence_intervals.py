"""Wilson and bootstrap intervals: agreement with SciPy, coverage and seeding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import bootstrap as scipy_bootstrap

from tinysight.evaluation.confidence_intervals import bootstrap, wilson_interval


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


def mean_of(values):
    return lambda counts: np.array([(counts * values).sum() / counts.sum()])


def test_matches_scipy_bootstrap():
    values = np.random.default_rng(0).gamma(2, size=400)
    reference = scipy_bootstrap((values,), np.mean, method="percentile", rng=1).confidence_interval
    low, high = bootstrap(mean_of(values), len(values))
    assert abs(low[0] - reference.low) < 0.02
    assert abs(high[0] - reference.high) < 0.02


def test_coverage_is_95_percent():
    random, covered = np.random.default_rng(1), 0
    for seed in range(200):
        values = random.exponential(size=300)
        low, high = bootstrap(mean_of(values), len(values), seed, resamples=400)
        covered += low[0] <= 1 <= high[0]
    assert 178 <= covered <= 199


def test_interval_depends_only_on_seed():
    values = np.arange(50.0)
    assert bootstrap(mean_of(values), 50, seed=3) == bootstrap(mean_of(values), 50, seed=3)
    assert bootstrap(mean_of(values), 50, seed=3) != bootstrap(mean_of(values), 50, seed=4)
