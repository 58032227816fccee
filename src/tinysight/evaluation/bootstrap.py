"""How far a figure would differ on other images of the same kind: told by drawing from those there are, many times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000

Figures = NDArray[np.float64]


def bootstrap(
    figures: Callable[[NDArray[np.int64]], Figures], n: int, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Figures, Figures]:
    """Return the lower and upper ends of the 95 % intervals of some figures (percentile method).

    After Efron, "Bootstrap Methods: Another Look at the Jackknife" (The Annals of Statistics 7, 1979).

    Args:
        figures: from how often each image counts, int64 (n,), to the figures, (k,); NaN where there is none.
        n: how many images there are.
        seed: what the draws follow from.
        resamples: how many are drawn.
    """
    random = np.random.default_rng(seed)
    drawn = [figures(np.bincount(random.integers(0, n, n), minlength=n)) for _ in range(resamples)]
    low, high = np.nanpercentile(np.stack(drawn), [2.5, 97.5], axis=0)
    return low, high
