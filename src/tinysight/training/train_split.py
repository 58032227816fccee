"""Train/validation split of a dataset as a recipe defines it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight._util.errors import DataError
from tinysight.data import splits
from tinysight.data.dataset import Dataset, Split
from tinysight.data.image_ids import all_image_ids, check_ids, image_ids, read_image_ids
from tinysight.data.pixels import take
from tinysight.models.classifier import IDENTITY, Normalization, batch_size
from tinysight.recipes.schema import DataSection, Recipe


@dataclass(frozen=True)
class TrainSplit:
    """The images of a training run.

    Attributes:
        train: the dataset's training split, which may include the validation images.
        train_indices: indices into `train` of the images to train on; indices avoid a copy.
        validation: the images to validate on.
    """

    train: Split
    train_indices: NDArray[np.int64]
    validation: Split


def split_dataset(dataset: Dataset, data: DataSection, seed: int) -> TrainSplit:
    """Split off the validation images, unless the dataset has a validation split.

    Excluded images are removed after the split, so that no other image changes sides.

    Raises:
        DataError: there are too few images for the recipe's split, or its list of excluded images is unreadable, names
            unknown images, or leaves none to train on or to validate on.
    """
    train = dataset.train
    names = image_ids(train, "train")
    if dataset.validation is not None:
        learn, validation = np.arange(len(train)), dataset.validation
        validation_ids = image_ids(validation, "validation")
    else:
        learn, chosen = splits.train_validation_split(dataset, data.split, data.validation_fraction, seed)
        validation, validation_ids = subset(train, chosen), tuple(names[index] for index in chosen)
    if data.exclude_file is None:
        return TrainSplit(train, learn, validation)
    excluded = read_excluded(Path(data.exclude_file), dataset)
    kept_train = np.array([index for index in learn if names[index] not in excluded], dtype=np.int64)
    kept_validation = np.array([i for i, name in enumerate(validation_ids) if name not in excluded], dtype=np.int64)
    if not len(kept_train) or not len(kept_validation):
        raise DataError(f"{data.exclude_file}: no training or no validation images are left. Exclude fewer.")
    return TrainSplit(train, kept_train, subset(validation, kept_validation))


def fit_normalization(recipe: Recipe, split: TrainSplit) -> Normalization:
    """Return the pixel normalization of the recipe, fitted on the training images if it standardizes."""
    if recipe.data.normalization == "none":
        return IDENTITY
    if recipe.data.normalization == "scale":
        return Normalization()
    batches = np.array_split(
        split.train_indices, math.ceil(len(split.train_indices) / batch_size(recipe.data.image_size))
    )
    return Normalization.fit(take(split.train.pixels, batch) for batch in batches)


def read_excluded(path: Path, dataset: Dataset) -> frozenset[str]:
    """Return the ids of the images listed in a CSV file.

    Raises:
        DataError: the file is unreadable, or lists images that are not in the dataset.
    """
    names = read_image_ids(path)
    check_ids(names, all_image_ids(dataset), path, dataset.name)
    return frozenset(names)


def subset(split: Split, indices: NDArray[np.int64]) -> Split:
    """Return the images of a split at the given indices."""
    files = tuple(split.files[index] for index in indices) if split.files else ()
    return Split(take(split.pixels, indices), split.labels[indices], files)
