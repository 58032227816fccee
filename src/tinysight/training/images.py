"""Which images a run learns from, and which it is held against: always the same for the same run."""

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
    """What a trainer works on.

    Attributes:
        train: all images that may be learned from.
        learn: indices into `train` of those that are, so that holding some back copies none of the others.
        validation: the images held back.
    """

    train: Part
    learn: NDArray[np.int64]
    validation: Part


def cut(dataset: Dataset, data: Data, seed: int) -> Images:
    """Cut the validation images from the training images, unless the dataset brings its own.

    What the recipe excludes is taken out last: it moves no other image from one side to the other.

    Raises:
        DataError: there are too few images for the split that the recipe asks for, or its list of excluded images
            cannot be read, names images that are not there, or leaves none.
    """
    train = dataset.train
    names = names_of(train, "train")
    if dataset.validation is not None:
        learn, validation = np.arange(len(train)), dataset.validation
        held_back = names_of(validation, "validation")
    else:
        learn, chosen = splits.split(dataset, data.split, data.validation, seed)
        validation, held_back = taken(train, chosen), tuple(names[index] for index in chosen)
    if data.exclude is None:
        return Images(train, learn, validation)
    excluded = read_excluded(Path(data.exclude), dataset)
    left = np.array([index for index in learn if names[index] not in excluded], dtype=np.int64)
    kept = np.array([place for place, name in enumerate(held_back) if name not in excluded], dtype=np.int64)
    if not len(left) or not len(kept):
        raise DataError(f"{data.exclude} leaves no image to learn from or none to validate with; exclude fewer.")
    return Images(train, left, taken(validation, kept))


def normalisation_for(recipe: Recipe, images: Images) -> Normalisation:
    """Return what the recipe says is done to pixels before the network."""
    if recipe.data.normalisation == "none":
        return RAW
    if recipe.data.normalisation == "scale":
        return Normalisation()
    shares = np.array_split(images.learn, math.ceil(len(images.learn) / batch_size(recipe.data.image_size)))
    return Normalisation.standardising(gathered(images.train.pixels, share) for share in shares)


def read_excluded(path: Path, dataset: Dataset) -> frozenset[str]:
    """Return the names of the images that a list excludes.

    Raises:
        DataError: it is no list of images of this dataset.
    """
    names = read_names(path)
    require_known(names, all_names(dataset), path, dataset.name)
    return frozenset(names)


def taken(part: Part, chosen: NDArray[np.int64]) -> Part:
    """Return some images of a part."""
    files = tuple(part.files[index] for index in chosen) if part.files else ()
    return Part(gathered(part.pixels, chosen), part.labels[chosen], files)
