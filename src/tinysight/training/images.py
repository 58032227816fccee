"""Train/validation split of a dataset as a recipe defines it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight.data import splits
from tinysight.data.dataset import Dataset, Part
from tinysight.data.names import all_names, names_of, read_names, require_known
from tinysight.data.pixels import gathered
from tinysight.errors import DataError
from tinysight.models.classifier import RAW, Normalisation, batch_size
from tinysight.recipes.schema import Data, Recipe


@dataclass(frozen=True)
class Images:
    """The images of a training run.

    Attributes:
        train: the dataset's training split, which may include the validation images.
        learn: indices into `train` of the images to train on; indices avoid a copy.
        validation: the images to validate on.
    """

    train: Part
    learn: NDArray[np.int64]
    validation: Part


def cut(dataset: Dataset, data: Data, seed: int) -> Images:
    """Split off the validation images, unless the dataset has a validation split.

    Excluded images are removed after the split, so that no other image changes sides.

    Raises:
        DataError: there are too few images for the recipe's split, or its list of excluded images is unreadable, names
            unknown images, or leaves none to train on or to validate on.
    """
    train = dataset.train
    names = names_of(train, "train")
    if dataset.validation is not None:
        learn, validation = np.arange(len(train)), dataset.validation
        validation_ids = names_of(validation, "validation")
    else:
        learn, chosen = splits.split(dataset, data.split, data.validation, seed)
        validation, validation_ids = taken(train, chosen), tuple(names[index] for index in chosen)
    if data.exclude is None:
        return Images(train, learn, validation)
    excluded = read_excluded(Path(data.exclude), dataset)
    kept_train = np.array([index for index in learn if names[index] not in excluded], dtype=np.int64)
    kept_validation = np.array([i for i, name in enumerate(validation_ids) if name not in excluded], dtype=np.int64)
    if not len(kept_train) or not len(kept_validation):
        raise DataError(f"{data.exclude}: no training or no validation images are left. Exclude fewer.")
    return Images(train, kept_train, taken(validation, kept_validation))


def normalisation_for(recipe: Recipe, images: Images) -> Normalisation:
    """Return the pixel normalization of the recipe, fitted on the training images if it standardizes."""
    if recipe.data.normalisation == "none":
        return RAW
    if recipe.data.normalisation == "scale":
        return Normalisation()
    batches = np.array_split(images.learn, math.ceil(len(images.learn) / batch_size(recipe.data.image_size)))
    return Normalisation.standardising(gathered(images.train.pixels, batch) for batch in batches)


def read_excluded(path: Path, dataset: Dataset) -> frozenset[str]:
    """Return the ids of the images listed in a CSV file.

    Raises:
        DataError: the file is unreadable, or lists images that are not in the dataset.
    """
    names = read_names(path)
    require_known(names, all_names(dataset), path, dataset.name)
    return frozenset(names)


def taken(part: Part, chosen: NDArray[np.int64]) -> Part:
    """Return the images of a split at the given indices."""
    files = tuple(part.files[index] for index in chosen) if part.files else ()
    return Part(gathered(part.pixels, chosen), part.labels[chosen], files)
