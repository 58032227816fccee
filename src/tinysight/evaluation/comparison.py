"""Paired significance tests and intervals for classifiers on the same images."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from tinysight.evaluation.intervals import wilson_interval
from tinysight.runs.findings import Comparison

Correct = NDArray[np.bool_]
"""(n,): whether the prediction for each image is correct."""


def compare(correct: dict[str, Correct]) -> list[Comparison]:
    """Compare every pair of classifiers with the exact McNemar test and Holm's correction.

    Sources: McNemar, "Note on the sampling error of the difference between correlated proportions" (Psychometrika 12,
    1947); Holm, "A simple sequentially rejective multiple test procedure" (Scandinavian Journal of Statistics 6, 1979).

    Args:
        correct: by name of the classifier.
    """
    pairs = list(combinations(correct, 2))
    p_values = [mcnemar(correct[first], correct[second]) for first, second in pairs]
    return [
        _comparison(first, second, correct[first], correct[second], p, p_corrected)
        for (first, second), p, p_corrected in zip(pairs, p_values, holm(p_values), strict=True)
    ]


def mcnemar(first: Correct, second: Correct) -> float:
    """Return the two-sided p-value of the exact McNemar test."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def holm(chances: list[float]) -> list[float]:
    """Return the p-values with Holm's correction, in the order given."""
    corrected, largest = [0.0] * len(chances), 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[index]))
        corrected[index] = largest
    return corrected


def difference_interval(first: Correct, second: Correct) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two accuracies on the same images.

    It combines the Wilson intervals of both accuracies with their correlation: method 10 of Newcombe, "Improved
    confidence intervals for the difference between binomial proportions based on paired data" (Statistics in
    Medicine 17, 1998).
    """
    n = len(first)
    p, q = float(first.mean()), float(second.mean())
    (p_low, p_high), (q_low, q_high) = (wilson_interval(int(hits.sum()), n) for hits in (first, second))
    phi = _correlation(first, second)
    below = math.hypot(p - p_low, q_high - q) ** 2 - 2 * phi * (p - p_low) * (q_high - q)
    above = math.hypot(q - q_low, p_high - p) ** 2 - 2 * phi * (q - q_low) * (p_high - p)
    return p - q - math.sqrt(max(0.0, below)), p - q + math.sqrt(max(0.0, above))


def _comparison(
    first_name: str, second_name: str, first: Correct, second: Correct, p: float, p_corrected: float
) -> Comparison:
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    difference = (only_first - only_second) / len(first)
    interval = difference_interval(first, second)
    return Comparison(first_name, second_name, only_first, only_second, difference, interval, p, p_corrected)


def _correlation(first: Correct, second: Correct) -> float:
    """Return the continuity-corrected phi coefficient of two classifiers' correct predictions, -1..1."""
    both, only_first = int((first & second).sum()), int((first & ~second).sum())
    only_second, none = int((second & ~first).sum()), int((~first & ~second).sum())
    scale = (both + only_first) * (only_second + none) * (both + only_second) * (only_first + none)
    if not scale:
        return 0.0
    excess = both * none - only_first * only_second
    if excess > 0:  # only positive correlations are corrected
        return max(0.0, excess - len(first) / 2) / math.sqrt(scale)
    return excess / math.sqrt(scale)
