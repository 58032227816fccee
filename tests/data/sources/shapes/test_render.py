"""The signed distance functions compared with polygons and exact areas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.path import Path

from tinysight.data.sources.shapes.render import SIGNED_DISTANCES

_SIDE = 401
# Offset by 0.001 so that no point lies on a straight edge.
_AXIS = np.linspace(-1.501, 1.499, _SIDE, dtype=np.float32)
_X, _Y = np.meshgrid(_AXIS, _AXIS)


def _pentagram(inner: float) -> list[tuple[float, float]]:
    outer = inner / math.sin(math.radians(18))
    waist = inner / math.cos(math.radians(36))
    turns = [math.radians(36 * corner) for corner in range(10)]
    radii = [outer, waist] * 5
    return [(radius * math.sin(turn), -radius * math.cos(turn)) for radius, turn in zip(radii, turns, strict=True)]


_POLYGONS = {
    "square": [(-0.76, -0.76), (0.76, -0.76), (0.76, 0.76), (-0.76, 0.76)],
    "triangle": [(0, -1.12), (0.97, 0.56), (-0.97, 0.56)],
    "star": _pentagram(0.37),
    "cross": [
        *((-0.3, -0.94), (0.3, -0.94), (0.3, -0.3), (0.94, -0.3), (0.94, 0.3), (0.3, 0.3)),
        *((0.3, 0.94), (-0.3, 0.94), (-0.3, 0.3), (-0.94, 0.3), (-0.94, -0.3), (-0.3, -0.3)),
    ],
    "arrow": [
        *((0, -1), (0.8036, -0.02), (0.25, -0.02), (0.25, 0.95)),
        *((-0.25, 0.95), (-0.25, -0.02), (-0.8036, -0.02)),
    ],
}


@pytest.mark.parametrize("name", _POLYGONS)
def test_a_polygonal_outline_encloses_the_same_points_as_its_polygon(name):
    points = np.stack([_X.ravel(), _Y.ravel()], axis=1)
    expected = Path(_POLYGONS[name]).contains_points(points).reshape(_X.shape)
    assert (expected != (SIGNED_DISTANCES[name](_X, _Y) <= 0)).mean() < 0.0002


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("circle", math.pi * 0.86**2),
        ("ring", math.pi * (0.91**2 - 0.49**2)),
        # A square of diagonal 2 x 0.76 and two half discs on its sides.
        ("heart", 2 * 0.76**2 + math.pi * 0.76**2 / 2),
    ],
)
def test_a_round_outline_encloses_its_area(name, area):
    cell = (3 / (_SIDE - 1)) ** 2
    assert (SIGNED_DISTANCES[name](_X, _Y) <= 0).sum() * cell == pytest.approx(area, rel=0.01)


@pytest.mark.parametrize("name", SIGNED_DISTANCES)
def test_distances_are_float32_and_outlines_about_as_large_as_the_unit_circle(name):
    distance = SIGNED_DISTANCES[name](_X, _Y)
    assert distance.dtype == np.float32
    reach = np.sqrt(_X**2 + _Y**2)[distance <= 0].max()
    assert 0.85 < reach < 1.25


def test_no_two_outlines_are_nearly_the_same():
    inside = [outline(_X, _Y) <= 0 for outline in SIGNED_DISTANCES.values()]
    for i, first in enumerate(inside):
        for second in inside[:i]:
            assert (first & second).sum() / (first | second).sum() < 0.85
