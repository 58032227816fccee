"""Protocols for classifiers and for the places they are loaded from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinysight.data.crops import Crops
from tinysight.data.dataset import Pixels
from tinysight.data.labels import Task
from tinysight.models.tta import average_over_crops


@dataclass(frozen=True)
class Outputs:
    """What a classifier computes for n images; iterating yields the probabilities and the OOD score of each.

    Attributes:
        probabilities: float32, (n, classes).
        ood_scores: float32, (n,), higher for images that are less like the training images; NaN if the classifier has
            no OOD detector.
    """

    probabilities: NDArray[np.float32]
    ood_scores: NDArray[np.float32]

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], float]]:
        return zip(self.probabilities, self.ood_scores.tolist(), strict=True)

    def unlike_training(self, threshold: float | None) -> NDArray[np.bool_] | None:
        """Return whether each image is unlike the training images, (n,); None without a threshold for the scores."""
        return None if threshold is None else self.ood_scores > np.float32(threshold)

    @classmethod
    def over_crops(cls, outputs: Callable[[Pixels], Outputs], crops: Pixels) -> Outputs:
        """Return the outputs for images, averaged over the crops (n, crops, 3, height, width) of each."""

        def columns(pixels: Pixels) -> NDArray[np.float32]:
            result = outputs(pixels)
            return np.column_stack([result.probabilities, result.ood_scores])

        averaged = average_over_crops(columns, crops)
        return cls(averaged[:, :-1], averaged[:, -1])


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

    @property
    def ood_threshold(self) -> float | None:
        """The OOD score above which an image is unlike the training images; None if it is not known."""

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return the probabilities, (n, classes), of uint8 images (n, 3, image_size, image_size)."""

    def outputs(self, pixels: Pixels) -> Outputs:
        """Return the probabilities and the OOD scores of uint8 images (n, 3, image_size, image_size)."""


def is_unlike_training(ood_score: float, threshold: float | None) -> bool | None:
    """Return whether an image with this OOD score is unlike the training images; None if it is not known."""
    return None if threshold is None else ood_score > threshold


class ModelSource(Hashable, Protocol):
    """The source of a classifier: a run, or a file of a different format."""

    @property
    def path(self) -> Path:
        """The run directory or the file."""

    def classifier(self) -> Predictor:
        """Load the classifier."""

    def weights_checksum(self) -> str:
        """Return the checksum of the weights."""
