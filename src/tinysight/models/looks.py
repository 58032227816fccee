"""Averaging of probabilities over several crops of an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels

Probabilities = NDArray[np.float32]


def over_looks(probabilities: Callable[[Pixels], Probabilities], looks: Pixels) -> Probabilities:
    """Return probabilities (n, classes), averaged over the crops of each image.

    Args:
        probabilities: maps images (n, 3, height, width) to probabilities (n, classes).
        looks: (n, crops, 3, height, width). Crops that equal the first one are not predicted again.
    """
    first = probabilities(looks[:, 0])
    total = first.copy()
    for index in range(1, looks.shape[1]):
        differs = (looks[:, index] != looks[:, 0]).any(axis=(1, 2, 3))
        total[~differs] += first[~differs]
        if differs.any():
            total[differs] += probabilities(looks[differs, index])
    mean: Probabilities = total / np.float32(looks.shape[1])
    return mean
