"""Whether one classifier is better than another, or luckier: told by the images that only one of them gets right."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from tinysight.evaluation.intervals import wilson_interval
from tinysight.runs.findings import Comparison

Correct = NDArray[np.bool_]
"""(n,): whether a classifier is right about each of the images."""


def compare(correct: dict[str, Correct]) -> list[Comparison]:
    """Compare every two of the classifiers, by name.

    The test is McNemar's ("Note on the sampling error of the difference between correlated proportions", Psychometrika
    12, 1947) in its exact form; the correction is Holm's ("A simple sequentially rejective multiple test procedure",
    Scandinavian Journal of Statistics 6, 1979).
    """
    pairs = list(combinations(correct, 2))
    chances = [mcnemar(correct[first], correct[second]) for first, second in pairs]
    return [
        _comparison(first, second, correct[first], correct[second], p, p_corrected)
        for (first, second), p, p_corrected in zip(pairs, chances, holm(chances), strict=True)
    ]


def mcnemar(first: Correct, second: Correct) -> float:
    """Return how often equally good classifiers would differ by as much, or more, on these images."""
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(one, one + other).pvalue) if one + other else 1.0


def holm(chances: list[float]) -> list[float]:
    """Return the chances corrected for how many there are, in the order given."""
    corrected, largest = [0.0] * len(chances), 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[index]))
        corrected[index] = largest
    return corrected


def difference_interval(first: Correct, second: Correct) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two accuracies on the same images.

    Method 10 of Newcombe, "Improved confidence intervals for the difference between binomial proportions based on
    paired data" (Statistics in Medicine 17, 1998): Wilson's intervals of both, put together by how they go together.
    """
    n = len(first)
    p, q = float(first.mean()), float(second.mean())
    (p_low, p_high), (q_low, q_high) = (wilson_interval(int(one.sum()), n) for one in (first, second))
    phi = _correlation(first, second)
    below = math.hypot(p - p_low, q_high - q) ** 2 - 2 * phi * (p - p_low) * (q_high - q)
    above = math.hypot(q - q_low, p_high - p) ** 2 - 2 * phi * (q - q_low) * (p_high - p)
    return p - q - math.sqrt(max(0.0, below)), p - q + math.sqrt(max(0.0, above))


def _comparison(first: str, second: str, one: Correct, other: Correct, p: float, p_corrected: float) -> Comparison:
    only_first, only_second = int((one & ~other).sum()), int((other & ~one).sum())
    difference = (only_first - only_second) / len(one)
    return Comparison(
        first, second, only_first, only_second, difference, difference_interval(one, other), p, p_corrected
    )


def _correlation(first: Correct, second: Correct) -> float:
    """Return how two classifiers' right answers go together, -1..1, a little less where there are few images."""
    both, only_first = int((first & second).sum()), int((first & ~second).sum())
    only_second, none = int((second & ~first).sum()), int((~first & ~second).sum())
    scale = (both + only_first) * (only_second + none) * (both + only_second) * (only_first + none)
    if not scale:
        return 0.0
    excess = both * none - only_first * only_second
    if excess > 0:  # the continuity correction of the method
        return max(0.0, excess - len(first) / 2) / math.sqrt(scale)
    return excess / math.sqrt(scale)
