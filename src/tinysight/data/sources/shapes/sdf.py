"""Signed distance functions (SDFs) of the ten shapes.

Each function takes the coordinates x and y of points, of any array shape, with y pointing down. The shape is upright
and about as large as the unit circle. The result is the signed distance to its outline, negative inside. A union is
the minimum of two distances, an intersection the maximum. These distances are exact on the outline and approximate
elsewhere, which is enough for antialiasing.

Only operations that IEEE 754 rounds exactly are used, so the pixels are identical on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
SignedDistance = Callable[[FloatArray, FloatArray], FloatArray]

_SIN_60 = 0.8660254
# Unit normals of the five lines of a star: up, then in steps of 72 degrees.
_STAR_NORMALS = (
    (0.0, -1.0),
    (0.9510565, -0.3090170),
    (0.5877853, 0.8090170),
    (-0.5877853, 0.8090170),
    (-0.9510565, -0.3090170),
)


def _disc(x: FloatArray, y: FloatArray, radius: float) -> FloatArray:
    return np.sqrt(x * x + y * y) - radius


def _box(x: FloatArray, y: FloatArray, half_width: float, half_height: float) -> FloatArray:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _circle(x: FloatArray, y: FloatArray) -> FloatArray:
    return _disc(x, y, 0.86)


def _ring(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.abs(_disc(x, y, 0.70)) - 0.21


def _crescent(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.maximum(_disc(x, y, 0.96), -_disc(x - 0.45, y, 0.72))


def _square(x: FloatArray, y: FloatArray) -> FloatArray:
    return _box(x, y, 0.76, 0.76)


def _triangle(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.maximum(np.abs(x) * _SIN_60 - y * 0.5, y) - 0.56


def _drop(x: FloatArray, y: FloatArray) -> FloatArray:
    # A disc and a wedge that is tangent to it from above.
    return np.minimum(_disc(x, y - 0.30, 0.62), np.maximum(np.abs(x) * 0.8888 - (y + 1.05) * 0.4583, y))


def _star(x: FloatArray, y: FloatArray) -> FloatArray:
    # A point is inside the star if it is outside at most one of the five lines. So the result is the second
    # largest distance.
    first, second = np.full_like(x, -np.inf), np.full_like(x, -np.inf)
    for normal_x, normal_y in _STAR_NORMALS:
        distance = x * normal_x + y * normal_y
        second = np.maximum(second, np.minimum(first, distance))
        first = np.maximum(first, distance)
    return second - 0.37


def _cross(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.minimum(_box(x, y, 0.94, 0.30), _box(x, y, 0.30, 0.94))


def _heart(x: FloatArray, y: FloatArray) -> FloatArray:
    # A square rotated by 45 degrees and a disc on each of its two upper sides.
    abs_x = np.abs(x)
    return np.minimum((abs_x + np.abs(y) - 0.76) * 0.7071068, _disc(abs_x - 0.38, y + 0.38, 0.5374012))


def _arrow(x: FloatArray, y: FloatArray) -> FloatArray:
    head: FloatArray = np.maximum(y + 0.02, (np.abs(x) - (y + 1.0) * 0.82) * 0.7733)
    return np.minimum(head, _box(x, y - 0.45, 0.25, 0.50))


SIGNED_DISTANCES: Mapping[str, SignedDistance] = MappingProxyType(
    {
        "circle": _circle,
        "ring": _ring,
        "crescent": _crescent,
        "square": _square,
        "triangle": _triangle,
        "star": _star,
        "cross": _cross,
        "drop": _drop,
        "heart": _heart,
        "arrow": _arrow,
    }
)
