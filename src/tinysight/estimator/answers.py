"""What a classifier says of some images, as a notebook shows it."""

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

_SHOWN = 50  # images; a notebook with more is slow


@dataclass(frozen=True)
class Answers:
    """What a classifier says of some images.

    Attributes:
        pixels: uint8, (n, 3, image_size, image_size), the images as it sees them.
        classes: (classes,), in the order of the probabilities.
        probabilities: (n, classes).
        unsure_below: the probability of the first choice below which it is unsure.
    """

    pixels: Pixels
    classes: NDArray[Any]
    probabilities: NDArray[np.float32]
    unsure_below: float

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The likeliest class of each image, (n,)."""
        found: NDArray[Any] = self.classes[self.probabilities.argmax(1)]
        return found

    @cached_property
    def unsure(self) -> NDArray[np.bool_]:
        """Whether that is too unlikely to be an answer, (n,)."""
        found: NDArray[np.bool_] = self.probabilities.max(1) < self.unsure_below
        return found

    def _repr_html_(self) -> str:
        shown = [
            FIGURE.format(image=self._image(index), text=self._words(index)) for index in range(len(self))[:_SHOWN]
        ]
        more = f"<p>and {len(self) - _SHOWN:,} more</p>" if len(self) > _SHOWN else ""
        return f"<div>{ROW.format(''.join(shown))}{more}</div>"

    def _image(self, index: int) -> str:
        return image_html(self.pixels[index], str(self.labels[index]))

    def _words(self, index: int) -> str:
        """Return the three likeliest classes, a line each, the first in bold or as a doubt."""
        order = likeliest(self.probabilities[index], 3)
        first, *others = (
            f"{escape(str(self.classes[label]))} {100 * self.probabilities[index, label]:.0f} %" for label in order
        )
        head = f"<em>unsure: {first}</em>" if self.unsure[index] else f"<strong>{first}</strong>"
        return "<br>".join([head, *others])
