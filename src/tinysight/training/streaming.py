"""Training images that are more than memory should hold, in an order that a disk can follow and chance has made.

An epoch goes through blocks of images that lie side by side, in random order, and shuffles what falls into one window
of many blocks. Folders keep their images in an order of chance, so that a block is a fair sample of all classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.data.pixels import Pixels, gathered

BLOCK = 2**18  # bytes that lie side by side: enough for a disk to be as fast as it can
WINDOW = 2**26  # bytes of pixels that are shuffled together and held in memory


def shuffled(learn: NDArray[np.int64], block: int, window: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the indices in `learn` in another order, each once.

    Args:
        learn: sorted, (n,).
        block: how many that follow each other stay together, before they are shuffled within a window.
        window: how many are shuffled together; the last window may hold fewer.
        random: draws it.

    Returns:
        (n,): `window` after `window` of them from blocks anywhere.
    """
    starts = random.permutation(np.arange(0, len(learn), block))
    order = np.concatenate([learn[start : start + block] for start in starts])
    for start in range(0, len(order), window):
        random.shuffle(order[start : start + window])
    return order


def images_in(size: int, pixels: Pixels) -> int:
    """Return how many of these images fit into `size` bytes, at least one."""
    return max(1, size // math.prod(pixels.shape[1:]))


@dataclass(frozen=True)
class Window:
    """Some of the images, in memory.

    Attributes:
        rows: where they lie among all of them, sorted, (n,).
        pixels: uint8, (n, 3, height, width).
    """

    rows: NDArray[np.int64]
    pixels: Pixels

    @classmethod
    def on(cls, pixels: Pixels, rows: NDArray[np.int64]) -> Window:
        """Read the images at `rows`, in any order."""
        inorder = np.sort(rows)
        return cls(inorder, gathered(pixels, inorder))

    def at(self, rows: NDArray[np.int64]) -> Pixels:
        """Return a copy of some of them, (m, 3, height, width)."""
        found: Pixels = self.pixels[np.searchsorted(self.rows, rows)]
        return found
