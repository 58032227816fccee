"""What a classifier says of pictures that it looks at more than once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels

Probabilities = NDArray[np.float32]


def over_looks(probabilities: Callable[[Pixels], Probabilities], looks: Pixels) -> Probabilities:
    """Return the probabilities of pictures, (n, classes), averaged over the looks at each.

    Args:
        probabilities: says those of images (any number, 3, height, width).
        looks: (n, looks, 3, height, width). One that shows what the first one does is not asked about again.
    """
    whole = probabilities(looks[:, 0])
    total = whole.copy()
    for index in range(1, looks.shape[1]):
        other = (looks[:, index] != looks[:, 0]).any(axis=(1, 2, 3))
        total[~other] += whole[~other]
        if other.any():
            total[other] += probabilities(looks[other, index])
    mean: Probabilities = total / np.float32(looks.shape[1])
    return mean
