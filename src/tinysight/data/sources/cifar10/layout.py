"""Arrays, class names and sizes shared by all layouts of CIFAR-10.

Source: https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinysight._util.errors import DataError
from tinysight.data.dataset import Labels, Pixels, Split

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
BATCH_IMAGES = 10_000
TRAIN_IMAGES = 50_000
PIXEL_BYTES = 3 * 32 * 32


@dataclass(frozen=True)
class Cifar10Arrays:
    """Arrays for all 60,000 images, in the official order: five training batches, one test batch.

    Attributes:
        pixels: uint8, (60000, 3, 32, 32).
        labels: int64, (60000,).
    """

    pixels: Pixels
    labels: Labels

    @classmethod
    def empty(cls) -> Cifar10Arrays:
        """Allocate the arrays without initializing them."""
        count = len(BATCHES) * BATCH_IMAGES
        return cls(np.empty((count, 3, 32, 32), np.uint8), np.empty(count, np.int64))

    def batch(self, name: str) -> tuple[Pixels, Labels]:
        """Return writable views of the batch `name`: pixels (10000, 3072) and labels (10000,)."""
        start = BATCHES.index(name) * BATCH_IMAGES
        rows = slice(start, start + BATCH_IMAGES)
        return self.pixels.reshape(-1, PIXEL_BYTES)[rows], self.labels[rows]

    @property
    def train(self) -> Split:
        """The first 50,000 images."""
        return Split(self.pixels[:TRAIN_IMAGES], self.labels[:TRAIN_IMAGES])

    @property
    def test(self) -> Split:
        """The last 10,000 images."""
        return Split(self.pixels[TRAIN_IMAGES:], self.labels[TRAIN_IMAGES:])


def check_labels(labels: Labels, source: str) -> None:
    """Raise DataError for labels above 9; `source` names the file in the message."""
    wrong = np.flatnonzero(labels >= len(CLASS_NAMES))
    if len(wrong):
        raise DataError(f"{source}: label {labels[wrong[0]]} of image {wrong[0]} is not in 0..9. Get a new copy.")


def check_class_names(names: list[str], source: str) -> tuple[str, ...]:
    """Return `names` as a tuple; raise DataError unless they are ten different names. `source` names the file."""
    if not len(names) == len(set(names)) == len(CLASS_NAMES):
        raise DataError(f"{source}: expected ten different class names. Get a new copy or remove it.")
    return tuple(names)


def contains_any(folder: Path, names: Sequence[str]) -> bool:
    """Return whether any of the files `names` is in `folder`."""
    return any(_size(folder / name) is not None for name in names)


def find_problem(folder: Path, names: Sequence[str], is_valid_size: Callable[[int], bool], expected_size: str) -> str:
    """Describe which of the files `names` in `folder` are missing or have a wrong size; "" if none.

    Args:
        folder: the folder to check.
        names: the expected files.
        is_valid_size: returns whether a size in bytes is valid.
        expected_size: a description of valid sizes, for the message.
    """
    sizes = {name: _size(folder / name) for name in names}
    missing = [name for name, size in sizes.items() if size is None]
    if missing:
        return f"missing {', '.join(missing)}"
    wrong = [(name, size) for name, size in sizes.items() if size is not None and not is_valid_size(size)]
    return ", ".join(f"{name} has {size:,} bytes instead of {expected_size}" for name, size in wrong)


def _size(path: Path) -> int | None:
    # Unlike Path.is_file, os.path.isfile returns False for a file in a folder without access permission.
    return os.path.getsize(path) if os.path.isfile(path) else None
