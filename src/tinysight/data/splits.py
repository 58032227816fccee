"""Split the training images into training and validation images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from tinysight._util.errors import DataError
from tinysight.data.dataset import Dataset, Labels

Indices = NDArray[np.int64]
SplitStrategy = Literal["stratified", "last-20%", "first-10000"]


def train_validation_split(
    dataset: Dataset, strategy: SplitStrategy, fraction: float = 0.1, seed: int = 0
) -> tuple[Indices, Indices]:
    """Split the training images into training and validation images.

    Args:
        dataset: the dataset; only its training split is used.
        strategy: "stratified" draws the same fraction of every class at random. "last-20%" takes the last fifth in
            dataset order, like Keras' `validation_split=0.2`. "first-10000" takes the first 10,000 images.
        fraction: fraction of validation images, between 0 and 1; used by "stratified" only.
        seed: random seed; used by "stratified" only.

    Returns:
        Sorted indices into `dataset.train`: (training, validation).

    Raises:
        DataError: there are too few images to split.
    """
    match strategy:
        case "stratified":
            return stratified_split(dataset.train.labels, fraction, seed, dataset.class_names)
        case "last-20%":
            return _split_at(len(dataset.train), validation=slice(len(dataset.train) * 4 // 5, None))
        case "first-10000":
            return _split_at(len(dataset.train), validation=slice(None, 10_000))
        case _:
            assert_never(strategy)


def stratified_split(
    labels: Labels, fraction: float, seed: int, class_names: Sequence[str] = ()
) -> tuple[Indices, Indices]:
    """Hold out a random fraction of every class.

    Args:
        labels: int64, (n,).
        fraction: fraction of each class to hold out, between 0 and 1. The number of images is rounded, with at
            least one image of every class on either side.
        seed: random seed.
        class_names: class names for error messages; by default the label itself.

    Returns:
        Sorted indices into `labels`: (kept, held out).

    Raises:
        DataError: a class has only one image, or the fraction is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise DataError(f"Validation fraction {fraction:g}: out of range. Choose a value between 0 and 1.")
    random = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            name = class_names[label] if class_names else label
            raise DataError(f"Class {name}: one training image, but a split needs two. Add images or remove the class.")
        size = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held_out[random.choice(members, size, replace=False)] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _split_at(count: int, validation: slice) -> tuple[Indices, Indices]:
    held_out = np.zeros(count, dtype=bool)
    held_out[validation] = True
    if held_out.all() or not held_out.any():
        raise DataError(f"{count} training images: this split leaves one side empty. Use the stratified split.")
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
