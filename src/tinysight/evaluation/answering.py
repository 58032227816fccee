"""What can be asked for predictions: a run's classifier, or one that another program runs."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels
from tinysight.data.looks import Looks


class Answering(Protocol):
    """What predicts, whichever program runs its network."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""

    @property
    def image_size(self) -> int:
        """Height and width of the images, pixels."""

    @property
    def unsure_below(self) -> float:
        """The probability of its first choice below which it is unsure."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know before trusting it."""

    @property
    def looks(self) -> Looks:
        """What of a large picture it should be shown, one after the other."""

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return (n, classes) for uint8 images (n, 3, image_size, image_size)."""


class Source(Hashable, Protocol):
    """Where such a classifier lies: a run, or a file of another format."""

    @property
    def path(self) -> Path:
        """The run directory, or the file."""

    def classifier(self) -> Answering:
        """Read it."""

    def weights_seal(self) -> str:
        """Return what tells its weights from others: a checksum."""
