"""Crops: the square regions of a larger image that a classifier takes as input."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import Field


class Look(NamedTuple):
    """A square region of an image, which is then resized to the input size of the classifier.

    Attributes:
        closer: margin cut off at every edge, as a fraction of the image's width or height, 0..0.4.
        place: position of the square along the longer side: 0 is the start, 0.5 the center, 1 the end.
    """

    closer: Annotated[float, Field(ge=0, le=0.4)] = 0.0
    place: Annotated[float, Field(ge=0, le=1)] = 0.5


Looks = Annotated[tuple[Look, ...], Field(min_length=1, max_length=16)]

WHOLE: Looks = (Look(),)
"""The largest centered square, as in training."""

CLOSER: Looks = tuple(Look(closer, place) for closer in (0.0, 0.125) for place in (0.5, 0.0, 1.0))
"""Two margins times three positions, for classifiers trained on tightly cropped objects: benchmarks/photos.py."""
