"""Intervals by resampling hold what they should, as often as they should."""

import numpy as np
from scipy.stats import bootstrap as scipys

from tinysight.evaluation.bootstrap import bootstrap


def mean_of(values):
    return lambda counts: np.array([(counts * values).sum() / counts.sum()])


def test_it_agrees_with_scipys():
    values = np.random.default_rng(0).gamma(2, size=400)
    reference = scipys((values,), np.mean, method="percentile", rng=1).confidence_interval
    low, high = bootstrap(mean_of(values), len(values))
    assert abs(low[0] - reference.low) < 0.02
    assert abs(high[0] - reference.high) < 0.02


def test_nineteen_of_twenty_intervals_hold_the_truth():
    random, held = np.random.default_rng(1), 0
    for seed in range(200):
        values = random.exponential(size=300)
        low, high = bootstrap(mean_of(values), len(values), seed, resamples=400)
        held += low[0] <= 1 <= high[0]
    assert 178 <= held <= 199


def test_the_same_seed_gives_the_same_interval():
    values = np.arange(50.0)
    assert bootstrap(mean_of(values), 50, seed=3) == bootstrap(mean_of(values), 50, seed=3)
    assert bootstrap(mean_of(values), 50, seed=3) != bootstrap(mean_of(values), 50, seed=4)
