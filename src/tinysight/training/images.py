"""Which images a run learns from, and which it is held against: always the same for the same run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.data import splits
from tinysight.data.dataset import Dataset, Part
from tinysight.recipes.schema import Data


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

    Raises:
        DataError: there are too few images for the split that the recipe asks for.
    """
    if dataset.validation is not None:
        return Images(dataset.train, np.arange(len(dataset.train)), dataset.validation)
    learn, held_back = splits.split(dataset, data.split, data.validation, seed)
    train = dataset.train
    files = tuple(train.files[i] for i in held_back) if train.files else ()
    return Images(train, learn, Part(train.pixels[held_back], train.labels[held_back], files))
