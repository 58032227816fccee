"""How far a measured share can be from the true one, given how many images were looked at."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share.

    Unlike the textbook's plus-or-minus, it stays within 0..1 and is not empty at 0 or 100 %
    (Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927).

    Args:
        successes: how many of the trials came out right, 0..trials.
        trials: how many there were, at least 1.
        confidence: how often intervals made this way hold the true share, between 0 and 1.

    Returns:
        The lower and the upper end, each 0..1.
    """
    share = successes / trials
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    shrink = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / shrink
    half_width = z * sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2) / shrink
    # Rounding could put an end of 0 or 1 just outside, or the share just outside its own interval.
    return max(0.0, min(share, centre - half_width)), min(1.0, max(share, centre + half_width))
