"""Protocols for classifiers and for the places they are loaded from."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinysight.data.crops import Crops
from tinysight.data.dataset import Pixels
from tinysight.data.labels import Task


class Predictor(Protocol):
    """A classifier, whichever framework runs its network."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names, in the order of the probabilities."""

    @property
    def image_size(self) -> int:
        """Height and width of the images in pixels."""

    @property
    def abstain_below(self) -> float:
        """The top-1 probability below which the classifier abstains."""

    @property
    def set_threshold(self) -> float | None:
        """The probability from which a class is in the prediction set; None if it was not calibrated."""

    @property
    def task(self) -> Task:
        """Whether an image has one class ("multi-class") or any number of labels ("multi-label")."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The probability from which an image gets each label; empty for "multi-class"."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the training data."""

    @property
    def crops(self) -> Crops:
        """The crops of a larger image over which probabilities are averaged."""

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return the probabilities, (n, classes), of uint8 images (n, 3, image_size, image_size)."""


class ModelSource(Hashable, Protocol):
    """The source of a classifier: a run, or a file of a different format."""

    @property
    def path(self) -> Path:
        """The run directory or the file."""

    def classifier(self) -> Predictor:
        """Load the classifier."""

    def weights_checksum(self) -> str:
        """Return the checksum of the weights."""
