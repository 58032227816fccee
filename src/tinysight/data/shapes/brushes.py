"""What the pictures of the `shapes` dataset are painted with: places, directions, colours and layers.

Everything works on a whole batch: a number for each picture has the shape (batch, 1, 1), a colour for each
picture (batch, 3, 1, 1), a field over each picture (batch, size, size), and the canvas (batch, 3, size, size).
Fields and colours are float32; lengths are in units of the picture's side, colours 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysight.data.shapes.outlines import Field

Range = tuple[float, float]


@dataclass(frozen=True)
class Palette:
    """The colours that may be mixed: how saturated (0..1) and how bright (0..255), between two bounds."""

    saturation: Range
    value: Range


@dataclass(frozen=True)
class Grid:
    """The centres of the pixels: x of shape (1, size) to the right, y of shape (size, 1) down, both 0..1."""

    x: Field
    y: Field

    @classmethod
    def of(cls, size: int) -> Grid:
        """Return the grid of a picture of `size` x `size` pixels."""
        centres = (np.arange(size, dtype=np.float32) + 0.5) / size
        return cls(centres[None, :], centres[:, None])


class Brushes:
    """Random choices for one batch of pictures, all from one stream.

    Args:
        random: the stream.
        batch: how many pictures there are.
        grid: where their pixels lie.
    """

    def __init__(self, random: np.random.Generator, batch: int, grid: Grid) -> None:
        self.random = random
        self.batch = batch
        self.grid = grid
        self.size = grid.x.size

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Field:
        """Draw a number between `low` and `high` for each picture."""
        return self.random.random((self.batch, 1, 1), np.float32) * (high - low) + low

    def direction(self, limit: float = 0.5) -> tuple[Field, Field]:
        """Draw an angle of up to `limit` turns either way for each picture; return its cosine and sine."""
        angle = 2 * np.pi * self.uniform(-limit, limit).astype(np.float64)
        # Processors differ in the last digit of these two, so it is rounded away.
        return np.cos(angle).round(6).astype(np.float32), np.sin(angle).round(6).astype(np.float32)

    def colour(self, palette: Palette, hue: Field | None = None) -> Field:
        """Mix a colour of `palette` for each picture, of any hue (a turn is 1) unless given."""
        hue = self.uniform() if hue is None else hue
        sextants = hue[:, None] * 6 + np.array([0, 4, 2], np.float32).reshape(1, 3, 1, 1)
        pure = (np.abs(sextants - np.floor(sextants / 6) * 6 - 3) - 1).clip(0, 1)
        saturation = self.uniform(*palette.saturation)[:, None]
        mixed: Field = self.uniform(*palette.value)[:, None] * (1 - saturation * (1 - pure))
        return mixed

    def noise(self, cells: int) -> Field:
        """Return smooth noise, 0..1: random values on `cells` x `cells` squares, interpolated linearly."""
        values = self.random.random((self.batch, cells + 1, cells + 1), np.float32)
        position = self.grid.x[0] * cells
        cell = position.astype(np.intp)
        within = position - cell.astype(np.float32)
        rows = _between(values[:, cell], values[:, cell + 1], within[:, None])
        return _between(rows[:, :, cell], rows[:, :, cell + 1], within)

    def ramp(self) -> Field:
        """Return a field that rises from about -0.5 to 0.5 across each picture, in any direction."""
        cosine, sine = self.direction()
        return (self.grid.x - 0.5) * cosine + (self.grid.y - 0.5) * sine

    def blob(self, length: Range, width: Range) -> Field:
        """Return the cover (0..1) of a soft-edged ellipse anywhere; bounds for its two half axes."""
        cosine, sine = self.direction()
        x, y = self.grid.x - self.uniform(), self.grid.y - self.uniform()
        along = (x * cosine + y * sine) / self.uniform(*length)
        across = (y * cosine - x * sine) / self.uniform(*width)
        return (1.5 - (along * along + across * across)).clip(0, 1)

    def line(self, half_width: Range) -> Field:
        """Return the cover (0..1) of a straight line through any point, from edge to edge."""
        cosine, sine = self.direction()
        x, y = self.grid.x - self.uniform(), self.grid.y - self.uniform()
        return self.cover(np.abs(x * cosine + y * sine) - self.uniform(*half_width))

    def cover(self, distance: Field) -> Field:
        """Return how much (0..1) of each pixel lies inside an outline, from the distance to the outline."""
        return (0.5 - distance * self.size).clip(0, 1)


def lay(canvas: Field, cover: Field, colour: Field) -> None:
    """Paint `colour` on `canvas`, in place, as densely as `cover` (0..1) says."""
    canvas += cover[:, None] * (colour - canvas)


def _between(first: Field, second: Field, share: Field) -> Field:
    return first + (second - first) * share
