"""Shuffle buffer for training images that are read from disk.

An epoch visits contiguous blocks of images in random order and shuffles them within buffers of many blocks. Folder
datasets are stored in random order, so that a block is a fair sample of all classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.data.pixels import Pixels, take

BLOCK_BYTES = 2**18  # contiguous bytes: enough for a disk's full read speed
BUFFER_BYTES = 2**26  # bytes of pixels that are shuffled together and held in memory


def shuffle_blocks(
    indices: NDArray[np.int64], block_size: int, buffer_size: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return a permutation of `indices` made of shuffled blocks.

    Args:
        indices: sorted, (n,).
        block_size: number of consecutive indices that stay together until the shuffle within a buffer.
        buffer_size: number of indices shuffled together; the last buffer may be smaller.
        random: the random generator.

    Returns:
        (n,): buffers of `buffer_size` indices, each from randomly chosen blocks.
    """
    starts = random.permutation(np.arange(0, len(indices), block_size))
    order = np.concatenate([indices[start : start + block_size] for start in starts])
    for start in range(0, len(order), buffer_size):
        random.shuffle(order[start : start + buffer_size])
    return order


def images_per_bytes(n_bytes: int, pixels: Pixels) -> int:
    """Return how many images fit into `n_bytes` bytes, at least one."""
    return max(1, n_bytes // math.prod(pixels.shape[1:]))


@dataclass(frozen=True)
class ShuffleBuffer:
    """A subset of the images, held in memory.

    Attributes:
        rows: their indices in the dataset, sorted, (n,).
        pixels: uint8, (n, 3, height, width).
    """

    rows: NDArray[np.int64]
    pixels: Pixels

    @classmethod
    def load(cls, pixels: Pixels, rows: NDArray[np.int64]) -> ShuffleBuffer:
        """Read the images at `rows`, given in any order."""
        in_order = np.sort(rows)
        return cls(in_order, take(pixels, in_order))

    def take(self, rows: NDArray[np.int64]) -> Pixels:
        """Return a copy of the images at `rows`, (m, 3, height, width)."""
        selected: Pixels = self.pixels[np.searchsorted(self.rows, rows)]
        return selected
