"""What of a picture a classifier looks at: a square of it, or several squares one after the other."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import Field


class Look(NamedTuple):
    """A square of a picture, in which it is scaled to what a classifier takes.

    Attributes:
        closer: what is left out at every edge, as a share of the picture's width or height.
        place: where along its longer side the square lies: 0 at the beginning, 0.5 in the middle, 1 at the end.
    """

    closer: Annotated[float, Field(ge=0, le=0.4)] = 0.0
    place: Annotated[float, Field(ge=0, le=1)] = 0.5


Looks = Annotated[tuple[Look, ...], Field(min_length=1, max_length=16)]

WHOLE: Looks = (Look(),)
"""As pictures are seen in training: as much as goes into a square around the centre."""

CLOSER: Looks = tuple(Look(closer, place) for closer in (0.0, 0.125) for place in (0.5, 0.0, 1.0))
"""For classifiers that learned from pictures filled by what they show, as photographs are not: benchmarks/photos.py."""
