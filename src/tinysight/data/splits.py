"""Which training images are set aside for validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Dataset, Labels
from tinysight.errors import DataError

Indices = NDArray[np.int64]
How = Literal["stratified", "last-20%", "first-10000"]


def split(dataset: Dataset, how: How, fraction: float = 0.1, seed: int = 0) -> tuple[Indices, Indices]:
    """Divide the training images into those to learn from and those to validate with.

    Args:
        dataset: its `train` part is divided.
        how: "stratified" draws the same share of every class; "last-20%" takes the last fifth in the
            order of the dataset, as Keras' `validation_split=0.2` does; "first-10000" takes that many
            from the front.
        fraction: the share set aside, between 0 and 1; only "stratified" reads it.
        seed: what "stratified" draws with.

    Returns:
        Indices into `dataset.train`, sorted: (train, validation).

    Raises:
        DataError: there are too few images to divide.
    """
    match how:
        case "stratified":
            return hold_out(dataset.train.labels, fraction, seed, dataset.class_names)
        case "last-20%":
            return _cut(len(dataset.train), validation=slice(len(dataset.train) * 4 // 5, None))
        case "first-10000":
            return _cut(len(dataset.train), validation=slice(None, 10_000))
        case _:
            assert_never(how)


def hold_out(labels: Labels, fraction: float, seed: int, class_names: Sequence[str] = ()) -> tuple[Indices, Indices]:
    """Set aside a share of every class, at random but the same for the same seed.

    Args:
        labels: int64, (n,).
        fraction: the share of each class to set aside, between 0 and 1. It is rounded to whole images,
            with at least one image on either side.
        seed: what the images are drawn with.
        class_names: how to call a class in an error; without them its number is used.

    Returns:
        Sorted indices into `labels`: (kept, set aside).

    Raises:
        DataError: a class has one image to divide, or the fraction is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise DataError(f"The share to set aside must lie between 0 and 1, not {fraction:g}.")
    random = np.random.default_rng(seed)
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            name = class_names[label] if class_names else label
            raise DataError(f"Class {name} has one training image, but a split needs two; add more or leave it out.")
        size = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held[random.choice(members, size, replace=False)] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _cut(count: int, validation: slice) -> tuple[Indices, Indices]:
    held = np.zeros(count, dtype=bool)
    held[validation] = True
    if held.all() or not held.any():
        raise DataError(f"With {count} training images this split leaves one side empty; use the stratified split.")
    return np.flatnonzero(~held), np.flatnonzero(held)
