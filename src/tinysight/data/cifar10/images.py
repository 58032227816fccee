"""What every layout of CIFAR-10 is read into, and what is true of all of them.

The facts are those of https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysight.data.dataset import Labels, Part, Pixels
from tinysight.errors import DataError

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
BATCH_IMAGES = 10_000
TRAIN_IMAGES = 50_000
PIXEL_BYTES = 3 * 32 * 32


@dataclass(frozen=True)
class Images:
    """Room for all 60,000 images, in the published order: five batches to train with, one to test with.

    Attributes:
        pixels: uint8, (60000, 3, 32, 32).
        labels: int64, (60000,).
    """

    pixels: Pixels
    labels: Labels

    @classmethod
    def empty(cls) -> Images:
        """Reserve the room; what is in it is arbitrary."""
        count = len(BATCHES) * BATCH_IMAGES
        return cls(np.empty((count, 3, 32, 32), np.uint8), np.empty(count, np.int64))

    def batch(self, name: str) -> tuple[Pixels, Labels]:
        """Return the room of the batch `name`: its pixels as (10000, 3072), and its labels."""
        start = BATCHES.index(name) * BATCH_IMAGES
        rows = slice(start, start + BATCH_IMAGES)
        return self.pixels.reshape(-1, PIXEL_BYTES)[rows], self.labels[rows]

    @property
    def train(self) -> Part:
        """The first 50,000 images."""
        return Part(self.pixels[:TRAIN_IMAGES], self.labels[:TRAIN_IMAGES])

    @property
    def test(self) -> Part:
        """The last 10,000 images."""
        return Part(self.pixels[TRAIN_IMAGES:], self.labels[TRAIN_IMAGES:])


def check_labels(labels: Labels, source: str) -> None:
    """Refuse labels that name no class; `source` is what the error calls the file."""
    wrong = np.flatnonzero(labels >= len(CLASS_NAMES))
    if len(wrong):
        raise DataError(
            f"{source} gives image {wrong[0]} the label {labels[wrong[0]]}, but CIFAR-10's are 0 to 9; get it again."
        )


def checked_names(names: list[str], source: str) -> tuple[str, ...]:
    """Return `names` if they are ten different ones; `source` is what the error calls the file."""
    if not len(names) == len(set(names)) == len(CLASS_NAMES):
        raise DataError(f"{source} does not hold ten different names of classes; get it again or remove it.")
    return tuple(names)
