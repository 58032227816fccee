"""Random painting primitives for the `shapes` dataset.

All arrays are float32 and hold a batch of images: scalars have the shape (batch, 1, 1), colors (batch, 3, 1, 1),
fields (batch, size, size) and the canvas (batch, 3, size, size). Lengths are fractions of the image side. Colors
range over 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysight.data.shapes.outlines import Field

Range = tuple[float, float]


@dataclass(frozen=True)
class Palette:
    """Range of colors: bounds of the HSV saturation (0..1) and of the value (0..255)."""

    saturation: Range
    value: Range


@dataclass(frozen=True)
class Grid:
    """Pixel centers, 0..1: x of shape (1, size) points right, y of shape (size, 1) points down."""

    x: Field
    y: Field

    @classmethod
    def of(cls, size: int) -> Grid:
        """Return the grid of an image of `size` x `size` pixels."""
        centers = (np.arange(size, dtype=np.float32) + 0.5) / size
        return cls(centers[None, :], centers[:, None])


class Brushes:
    """Random numbers, colors and fields for one batch of images.

    Args:
        rng: the generator of all random numbers.
        batch_size: number of images.
        grid: pixel coordinates.
    """

    def __init__(self, random: np.random.Generator, batch: int, grid: Grid) -> None:
        self.random = random
        self.batch = batch
        self.grid = grid
        self.size = grid.x.size

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Field:
        """Draw a number between `low` and `high` for each image."""
        return self.random.random((self.batch, 1, 1), np.float32) * (high - low) + low

    def direction(self, limit: float = 0.5) -> tuple[Field, Field]:
        """Draw an angle of at most `limit` turns in either direction per image; return its cosine and sine."""
        angle = 2 * np.pi * self.uniform(-limit, limit).astype(np.float64)
        # The last digit of sin and cos differs between processors, so round it away.
        return np.cos(angle).round(6).astype(np.float32), np.sin(angle).round(6).astype(np.float32)

    def colour(self, palette: Palette, hue: Field | None = None) -> Field:
        """Draw a color from `palette` for each image. `hue` is in turns; by default it is random."""
        hue = self.uniform() if hue is None else hue
        sextants = hue[:, None] * 6 + np.array([0, 4, 2], np.float32).reshape(1, 3, 1, 1)
        pure = (np.abs(sextants - np.floor(sextants / 6) * 6 - 3) - 1).clip(0, 1)
        saturation = self.uniform(*palette.saturation)[:, None]
        mixed: Field = self.uniform(*palette.value)[:, None] * (1 - saturation * (1 - pure))
        return mixed

    def noise(self, cells: int) -> Field:
        """Return value noise, 0..1: random values on a grid of `cells` x `cells`, interpolated bilinearly."""
        values = self.random.random((self.batch, cells + 1, cells + 1), np.float32)
        position = self.grid.x[0] * cells
        cell = position.astype(np.intp)
        fraction = position - cell.astype(np.float32)
        rows = _lerp(values[:, cell], values[:, cell + 1], fraction[:, None])
        return _lerp(rows[:, :, cell], rows[:, :, cell + 1], fraction)

    def ramp(self) -> Field:
        """Return a linear gradient from about -0.5 to 0.5 in a random direction."""
        cosine, sine = self.direction()
        return (self.grid.x - 0.5) * cosine + (self.grid.y - 0.5) * sine

    def blob(self, length: Range, width: Range) -> Field:
        """Return the coverage (0..1) of a soft-edged ellipse. `length` and `width` bound its semi-axes."""
        cosine, sine = self.direction()
        x, y = self.grid.x - self.uniform(), self.grid.y - self.uniform()
        along = (x * cosine + y * sine) / self.uniform(*length)
        across = (y * cosine - x * sine) / self.uniform(*width)
        return (1.5 - (along * along + across * across)).clip(0, 1)

    def line(self, half_width: Range) -> Field:
        """Return the coverage (0..1) of a straight line through a random point, from edge to edge."""
        cosine, sine = self.direction()
        x, y = self.grid.x - self.uniform(), self.grid.y - self.uniform()
        return self.cover(np.abs(x * cosine + y * sine) - self.uniform(*half_width))

    def cover(self, distance: Field) -> Field:
        """Convert a signed distance to an outline to pixel coverage, 0..1."""
        return (0.5 - distance * self.size).clip(0, 1)


def lay(canvas: Field, cover: Field, colour: Field) -> None:
    """Blend `color` onto `canvas` in place, with opacity `coverage` (0..1)."""
    canvas += cover[:, None] * (colour - canvas)


def _lerp(first: Field, second: Field, weight: Field) -> Field:
    return first + (second - first) * weight
