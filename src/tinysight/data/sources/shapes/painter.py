"""Random painting primitives for the `shapes` dataset.

All arrays are float32 and hold a batch of images: scalars have the shape (batch, 1, 1), colors (batch, 3, 1, 1),
fields (batch, size, size) and the canvas (batch, 3, size, size). Lengths are fractions of the image side. Colors
range over 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysight.data.sources.shapes.sdf import FloatArray

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Palette:
    """Range of colors: bounds of the HSV saturation (0..1) and of the value (0..255)."""

    saturation: Bounds
    value: Bounds


@dataclass(frozen=True)
class PixelGrid:
    """Pixel centers, 0..1: x of shape (1, size) points right, y of shape (size, 1) points down."""

    x: FloatArray
    y: FloatArray

    @classmethod
    def from_size(cls, size: int) -> PixelGrid:
        """Return the grid of an image of `size` x `size` pixels."""
        centers = (np.arange(size, dtype=np.float32) + 0.5) / size
        return cls(centers[None, :], centers[:, None])


class Painter:
    """Random numbers, colors and fields for one batch of images.

    Args:
        rng: the generator of all random numbers.
        batch_size: number of images.
        grid: pixel coordinates.
    """

    def __init__(self, rng: np.random.Generator, batch_size: int, grid: PixelGrid) -> None:
        self.rng = rng
        self.batch_size = batch_size
        self.grid = grid
        self.size = grid.x.size

    def uniform(self, low: float = 0.0, high: float = 1.0) -> FloatArray:
        """Draw a number between `low` and `high` for each image."""
        return self.rng.random((self.batch_size, 1, 1), np.float32) * (high - low) + low

    def random_rotation(self, limit: float = 0.5) -> tuple[FloatArray, FloatArray]:
        """Draw an angle of at most `limit` turns in either direction per image; return its cosine and sine."""
        angle = 2 * np.pi * self.uniform(-limit, limit).astype(np.float64)
        # The last digit of sin and cos differs between processors, so round it away.
        return np.cos(angle).round(6).astype(np.float32), np.sin(angle).round(6).astype(np.float32)

    def color(self, palette: Palette, hue: FloatArray | None = None) -> FloatArray:
        """Draw a color from `palette` for each image. `hue` is in turns; by default it is random."""
        hue = self.uniform() if hue is None else hue
        sextants = hue[:, None] * 6 + np.array([0, 4, 2], np.float32).reshape(1, 3, 1, 1)
        pure = (np.abs(sextants - np.floor(sextants / 6) * 6 - 3) - 1).clip(0, 1)
        saturation = self.uniform(*palette.saturation)[:, None]
        mixed: FloatArray = self.uniform(*palette.value)[:, None] * (1 - saturation * (1 - pure))
        return mixed

    def value_noise(self, cells: int) -> FloatArray:
        """Return value noise, 0..1: random values on a grid of `cells` x `cells`, interpolated bilinearly."""
        values = self.rng.random((self.batch_size, cells + 1, cells + 1), np.float32)
        position = self.grid.x[0] * cells
        cell = position.astype(np.intp)
        fraction = position - cell.astype(np.float32)
        rows = _lerp(values[:, cell], values[:, cell + 1], fraction[:, None])
        return _lerp(rows[:, :, cell], rows[:, :, cell + 1], fraction)

    def gradient(self) -> FloatArray:
        """Return a linear gradient from about -0.5 to 0.5 in a random direction."""
        cosine, sine = self.random_rotation()
        return (self.grid.x - 0.5) * cosine + (self.grid.y - 0.5) * sine

    def blob(self, length: Bounds, width: Bounds) -> FloatArray:
        """Return the coverage (0..1) of a soft-edged ellipse. `length` and `width` bound its semi-axes."""
        cosine, sine = self.random_rotation()
        x, y = self.grid.x - self.uniform(), self.grid.y - self.uniform()
        along = (x * cosine + y * sine) / self.uniform(*length)
        across = (y * cosine - x * sine) / self.uniform(*width)
        return (1.5 - (along * along + across * across)).clip(0, 1)

    def line(self, half_width: Bounds) -> FloatArray:
        """Return the coverage (0..1) of a straight line through a random point, from edge to edge."""
        cosine, sine = self.random_rotation()
        x, y = self.grid.x - self.uniform(), self.grid.y - self.uniform()
        return self.coverage(np.abs(x * cosine + y * sine) - self.uniform(*half_width))

    def coverage(self, distance: FloatArray) -> FloatArray:
        """Convert a signed distance to an outline to pixel coverage, 0..1."""
        return (0.5 - distance * self.size).clip(0, 1)


def composite(canvas: FloatArray, coverage: FloatArray, color: FloatArray) -> None:
    """Blend `color` onto `canvas` in place, with opacity `coverage` (0..1)."""
    canvas += coverage[:, None] * (color - canvas)


def _lerp(first: FloatArray, second: FloatArray, weight: FloatArray) -> FloatArray:
    return first + (second - first) * weight
