"""Bootstrap intervals: agreement with SciPy, coverage and seeding."""

import numpy as np
from scipy.stats import bootstrap as scipy_bootstrap

from tinysight.evaluation.confidence_intervals import bootstrap


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
