"""Bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000

Figures = NDArray[np.float64]


def bootstrap(
    figures: Callable[[NDArray[np.int64]], Figures], n: int, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Figures, Figures]:
    """Return the lower and upper bounds, (k,) each, of 95 % percentile intervals of k statistics.

    The method is that of Efron, "Bootstrap Methods: Another Look at the Jackknife" (The Annals of Statistics 7, 1979).

    Args:
        statistics: computes the statistics, (k,), from the number of times each image is drawn, int64 (n,).
            NaN marks an undefined statistic and is ignored.
        n: number of images.
        seed: seed of the resampling.
        resamples: number of resamples.
    """
    random = np.random.default_rng(seed)
    samples = [figures(np.bincount(random.integers(0, n, n), minlength=n)) for _ in range(resamples)]
    low, high = np.nanpercentile(np.stack(samples), [2.5, 97.5], axis=0)
    return low, high
