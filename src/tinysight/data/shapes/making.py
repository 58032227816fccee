"""The built-in dataset `shapes`: ten classes of small procedural pictures on busy backgrounds.

It needs no download, comes in any number and size, and is the same everywhere for the same seed. Flaws can
be planted in it, and where each shape lies is known, so that checks of a model can themselves be checked.
"""

from __future__ import annotations

import reprlib
from typing import Any

from tinysight.data.dataset import Dataset, Part
from tinysight.data.shapes.drawing import Drawn, draw
from tinysight.data.shapes.flaws import NO_FLAWS, Flaws, Planted, plant
from tinysight.data.shapes.outlines import OUTLINES
from tinysight.errors import DataError, nearest

__all__ = ["CLASS_NAMES", "NO_FLAWS", "Drawn", "Flaws", "Planted", "draw", "load", "make", "parse"]

CLASS_NAMES = tuple(OUTLINES)

_REMARK = "These are procedural pictures that tinysight draws itself, not photographs."
_MOST_BYTES = 4_000_000_000
_FLAW_OPTIONS = {
    "wrong-labels": "wrong_labels",
    "background": "background_gives_away",
    "near-duplicates": "near_duplicates",
}
_OPTIONS = ("train", "test", "seed", *_FLAW_OPTIONS)


def load(train: int = 10_000, test: int = 2_000, seed: int = 0, flaws: Flaws = NO_FLAWS, size: int = 32) -> Dataset:
    """Return the dataset that `make` draws, without the truth about it."""
    dataset, _ = make(train, test, seed, flaws, size)
    return dataset


def make(
    train: int = 10_000, test: int = 2_000, seed: int = 0, flaws: Flaws = NO_FLAWS, size: int = 32
) -> tuple[Dataset, Planted]:
    """Draw the dataset, and tell the truth about it.

    Args:
        train: how many training images; at least 10, one a class.
        test: how many test images; likewise.
        seed: 0 or more; the same seed gives the same images, to the bit.
        flaws: what to plant.
        size: height and width of the images, in pixels. The same seed shows the same scenes in any size.

    Returns:
        The dataset, and its masks and planted flaws.

    Raises:
        DataError: there are too few images or too many, or the seed is negative.

    >>> dataset, planted = make(train=20, test=10, flaws=Flaws(wrong_labels=0.1))
    >>> dataset.train.pixels.shape, len(planted.wrong_labels)
    ((20, 3, 32, 32), 2)
    """
    _check(train, test, seed, size)
    clean = draw(train, seed, size, split=0), draw(test, seed, size, split=1)
    drawn_train, drawn_test, planted = plant(*clean, flaws, seed)
    dataset = Dataset(
        name="shapes",
        train=Part(drawn_train.pixels, drawn_train.labels),
        test=Part(drawn_test.pixels, drawn_test.labels),
        class_names=CLASS_NAMES,
        source=f"drawn by tinysight (built-in shapes, seed {seed})",
        remarks=(_REMARK,) if flaws == NO_FLAWS else (_REMARK, flaws.remark()),
    )
    return dataset, planted


def parse(argument: str) -> dict[str, Any]:
    """Return what "shapes" or "shapes:train=5000,wrong-labels=0.05" asks for, as keyword arguments of `load`.

    The options are train, test and seed, and the shares wrong-labels, background and near-duplicates.

    Raises:
        DataError: an option is unknown, or its value is no number or an impossible one.
    """
    _, _, text = argument.partition(":")
    given = dict(_option(item) for item in text.split(",") if item)
    shares = {field: given.pop(name) for name, field in _FLAW_OPTIONS.items() if name in given}
    return {**given, "flaws": Flaws(**shares)}


def _option(item: str) -> tuple[str, int | float]:
    name, _, value = item.partition("=")
    if name not in _OPTIONS:
        raise DataError(f"The dataset shapes has no option {name!r}.{nearest(name, _OPTIONS)}")
    try:
        return name, float(value) if name in _FLAW_OPTIONS else int(value)
    except ValueError as error:
        kind = "a share, such as 0.05" if name in _FLAW_OPTIONS else "a whole number"
        raise DataError(f"The option {name} of shapes is {reprlib.repr(value)}; it must be {kind}.") from error


def _check(train: int, test: int, seed: int, size: int) -> None:
    for split, count in (("train", train), ("test", test)):
        if count < len(CLASS_NAMES):
            raise DataError(f"{count} {split} images of shapes are too few; ask for at least {len(CLASS_NAMES)}.")
    if (train + test) * 3 * size * size > _MOST_BYTES:
        limit = f"{_MOST_BYTES / 1e9:.0f} GB"
        raise DataError(f"So many shapes would take more than {limit} of memory; ask for fewer or smaller.")
    if seed < 0:
        raise DataError(f"The seed of shapes is {seed}; it must be 0 or more.")
