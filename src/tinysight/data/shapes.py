"""The built-in dataset `shapes`: ten classes of small procedural pictures on busy backgrounds.

It needs no download, comes in any number and size, and is the same everywhere for the same seed. Flaws can
be planted in it, and where each shape lies is known, so that checks of a model can themselves be checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypedDict

from tinysight.data.dataset import Dataset, Part
from tinysight.data.flaws import Flaws, Planted, plant
from tinysight.data.shapes_drawing import Drawn, draw
from tinysight.data.shapes_outlines import OUTLINES
from tinysight.errors import DataError, nearest

__all__ = ["CLASS_NAMES", "Drawn", "Flaws", "Options", "Planted", "draw", "load", "make", "parse"]

CLASS_NAMES = tuple(OUTLINES)

_REMARK = "These are procedural pictures that tinysight draws itself, not photographs."
_MOST_BYTES = 4_000_000_000
_NUMBERS: Mapping[str, str] = {"train": "train", "test": "test", "seed": "seed"}


class Options(TypedDict, total=False):
    """What `--data shapes:...` may say; the arguments of `load`."""

    train: int
    test: int
    seed: int
    flaws: Flaws


def load(
    train: int = 10_000, test: int = 2_000, seed: int = 0, flaws: Flaws = Flaws(), size: int = 32
) -> Dataset:
    """Return the dataset alone; the arguments are those of `make`."""
    return make(train, test, seed, flaws, size)[0]


def make(
    train: int = 10_000, test: int = 2_000, seed: int = 0, flaws: Flaws = Flaws(), size: int = 32
) -> tuple[Dataset, Planted]:
    """Draw the dataset, and tell the truth about it.

    Args:
        train: how many training images; at least 10, one a class.
        test: how many test images; likewise.
        seed: 0 or more; the same seed gives the same images, to the bit.
        flaws: what to plant; nothing unless said.
        size: height and width of the images, in pixels.

    Returns:
        The dataset, and its masks and planted flaws.

    Raises:
        DataError: there are too few images or too many, or the seed is negative.

    >>> dataset, planted = make(train=20, test=10, flaws=Flaws(wrong_labels=0.1))
    >>> dataset.train.pixels.shape, len(planted.wrong_labels)
    ((20, 3, 32, 32), 2)
    """
    _check(train, test, seed, size)
    drawn = draw(train, seed, size, split=0), draw(test, seed, size, split=1)
    flawed_train, flawed_test, planted = plant(*drawn, flaws, seed)
    dataset = Dataset(
        name="shapes",
        train=Part(flawed_train.pixels, flawed_train.labels),
        test=Part(flawed_test.pixels, flawed_test.labels),
        class_names=CLASS_NAMES,
        source=f"drawn by tinysight (built-in shapes, seed {seed})",
        remarks=(_REMARK, *_told(flaws)),
    )
    return dataset, planted


def parse(argument: str) -> Options:
    """Return what "shapes" or "shapes:train=5000,seed=3,wrong-labels=0.05" asks for, as arguments of `load`.

    The options are train, test, seed, and as shares of 0..1 wrong-labels, background and near-duplicates.

    Raises:
        DataError: an option is unknown, or its value is no number or impossible.
    """
