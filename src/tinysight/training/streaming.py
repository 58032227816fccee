"""Shuffle buffer for training images that are read from disk.

An epoch visits contiguous blocks of images in random order and shuffles them within buffers of many blocks. Folder
datasets are stored in random order, so that a block is a fair sample of all classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.data.pixels import Pixels, gathered

BLOCK = 2**18  # contiguous bytes: enough for a disk's full read speed
WINDOW = 2**26  # bytes of pixels that are shuffled together and held in memory


def shuffled(learn: NDArray[np.int64], block: int, window: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return a permutation of `learn` made of shuffled blocks.

    Args:
        learn: sorted, (n,).
        block: number of consecutive indices that stay together until the shuffle within a buffer.
        window: number of indices shuffled together; the last buffer may be smaller.
        random: the random generator.

    Returns:
        (n,): buffers of `window` indices, each from randomly chosen blocks.
    """
    starts = random.permutation(np.arange(0, len(learn), block))
    order = np.concatenate([learn[start : start + block] for start in starts])
    for start in range(0, len(order), window):
        random.shuffle(order[start : start + window])
    return order


def images_in(size: int, pixels: Pixels) -> int:
    """Return how many images fit into `size` bytes, at least one."""
    return max(1, size // math.prod(pixels.shape[1:]))


@dataclass(frozen=True)
class Window:
    """A subset of the images, held in memory.

    Attributes:
        rows: their indices in the dataset, sorted, (n,).
        pixels: uint8, (n, 3, height, width).
    """

    rows: NDArray[np.int64]
    pixels: Pixels

    @classmethod
    def on(cls, pixels: Pixels, rows: NDArray[np.int64]) -> Window:
        """Read the images at `rows`, given in any order."""
        in_order = np.sort(rows)
        return cls(in_order, gathered(pixels, in_order))

    def at(self, rows: NDArray[np.int64]) -> Pixels:
        """Return a copy of the images at `rows`, (m, 3, height, width)."""
        selected: Pixels = self.pixels[np.searchsorted(self.rows, rows)]
        return selected
