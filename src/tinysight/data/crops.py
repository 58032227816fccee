"""Crops: the square regions of a larger image that a classifier takes as input."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import Field


class Crop(NamedTuple):
    """A square region of an image, which is then resized to the input size of the classifier.

    Attributes:
        margin: margin cut off at every edge, as a fraction of the image's width or height, 0..0.4.
        position: position of the square along the longer side: 0 is the start, 0.5 the center, 1 the end.
    """

    margin: Annotated[float, Field(ge=0, le=0.4)] = 0.0
    position: Annotated[float, Field(ge=0, le=1)] = 0.5


Crops = Annotated[tuple[Crop, ...], Field(min_length=1, max_length=16)]

CENTER_CROP: Crops = (Crop(),)
"""The largest centered square, as in training."""

SIX_CROP: Crops = tuple(Crop(closer, place) for closer in (0.0, 0.125) for place in (0.5, 0.0, 1.0))
"""Two margins times three positions, for classifiers trained on tightly cropped objects: benchmarks/resizing.py."""
