"""Wilson score intervals of proportions."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion.

    Unlike the normal approximation, it stays within 0..1 and has a positive width at 0 and 100 %
    (Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927).

    Args:
        successes: number of successes, 0..trials.
        trials: number of trials, at least 1.
        confidence: confidence level, between 0 and 1.

    Returns:
        The lower and the upper bound, each 0..1.
    """
    proportion = successes / trials
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    shrink = 1 + z**2 / trials
    center = (proportion + z**2 / (2 * trials)) / shrink
    half_width = z * sqrt(proportion * (1 - proportion) / trials + (z / (2 * trials)) ** 2) / shrink
    # Rounding errors could move a bound outside 0..1, or the proportion outside its interval.
    return max(0.0, min(proportion, center - half_width)), min(1.0, max(proportion, center + half_width))
