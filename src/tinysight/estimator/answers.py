"""Predictions with an HTML representation for notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels
from tinysight.data.html import FIGURE, ROW, image_html
from tinysight.models.classifier import likeliest

_MAX_SHOWN = 50  # images; more make a notebook slow


@dataclass(frozen=True)
class Answers:
    """The predictions of a classifier for some images.

    Attributes:
        pixels: uint8, (n, 3, image_size, image_size), the first crop of each image.
        classes: (classes,), in the order of the probabilities.
        probabilities: (n, classes), 0..1.
        unsure_below: top-1 probability below which the classifier abstains, 0..1.
    """

    pixels: Pixels
    classes: NDArray[Any]
    probabilities: NDArray[np.float32]
    unsure_below: float

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The most probable class of each image, (n,)."""
        labels: NDArray[Any] = self.classes[self.probabilities.argmax(1)]
        return labels

    @cached_property
    def unsure(self) -> NDArray[np.bool_]:
        """Whether the classifier abstains on each image, (n,)."""
        unsure: NDArray[np.bool_] = self.probabilities.max(1) < self.unsure_below
        return unsure

    def _repr_html_(self) -> str:
        figures = [
            FIGURE.format(image=image_html(self.pixels[index], str(self.labels[index])), text=self._caption(index))
            for index in range(len(self))[:_MAX_SHOWN]
        ]
        more = f"<p>and {len(self) - _MAX_SHOWN:,} more</p>" if len(self) > _MAX_SHOWN else ""
        return f"<div>{ROW.format(''.join(figures))}{more}</div>"

    def _caption(self, index: int) -> str:
        """Return the three most probable classes, one per line, the first in bold or marked as unsure."""
        order = likeliest(self.probabilities[index], 3)
        first, *others = (
            f"{escape(str(self.classes[label]))} {100 * self.probabilities[index, label]:.0f} %" for label in order
        )
        head = f"<em>unsure: {first}</em>" if self.unsure[index] else f"<strong>{first}</strong>"
        return "<br>".join([head, *others])
