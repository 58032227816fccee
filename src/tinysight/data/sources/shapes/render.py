"""Renderer of the `shapes` dataset.

Images are rendered in batches of a fixed size, each with its own random generator. So image i does not depend on
the number of images. Pixels are computed only with operations that IEEE 754 rounds exactly: no sums, powers or
matrix products. So the images are identical on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Labels, Pixels

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


Masks = NDArray[np.bool_]

_BATCH = 100  # a multiple of the number of classes; fits into the processor's cache

# Shapes are lighter than the background: with random contrast, the notebooks' networks learn nothing from
# 10,000 images. These numbers set the difficulty of the dataset (see the slow test).
_BACKGROUND = Palette(saturation=(0.0, 0.6), value=(20, 120))
_CLUTTER = Palette(saturation=(0.0, 0.6), value=(20, 150))
_SHAPE = Palette(saturation=(0.1, 0.75), value=(165, 255))
_BLOBS = 3


@dataclass(frozen=True)
class RenderedBatch:
    """Rendered images with labels and masks.

    Attributes:
        pixels: uint8, (n, 3, size, size), RGB, 0..255.
        labels: int64, (n,), indices into the outlines.
        masks: bool, (n, size, size), True on the shape, including where a line crosses it.
    """

    pixels: Pixels
    labels: Labels
    masks: Masks


def spawn_rng(seed: int, *key: int) -> np.random.Generator:
    """Return an independent random generator for each `seed` and `key`."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def render_shapes(n: int, seed: int, size: int = 32, split: int = 0) -> RenderedBatch:
    """Render `n` images with balanced (±1), shuffled classes.

    Args:
        n: number of images, 0 or more. A smaller n gives a prefix of the same images.
        seed: 0 or more; the same seed gives bit-identical images.
        size: height and width, in pixels.
        split: index of an independent split of the same seed.

    Returns:
        The images with their labels and masks.
    """
    rendered = RenderedBatch(
        np.empty((n, 3, size, size), np.uint8), np.empty(n, np.int64), np.empty((n, size, size), np.bool_)
    )
    for index, start in enumerate(range(0, n, _BATCH)):
        batch = _draw_batch(Painter(spawn_rng(seed, split, index), _BATCH, PixelGrid.from_size(size)))
        count = min(_BATCH, n - start)
        rendered.pixels[start : start + count] = batch.pixels[:count]
        rendered.labels[start : start + count] = batch.labels[:count]
        rendered.masks[start : start + count] = batch.masks[:count]
    return rendered


def _draw_batch(brushes: Painter) -> RenderedBatch:
    labels = _shuffled_labels(brushes)
    hue = brushes.uniform()
    canvas, background = _paint_background(brushes, hue)
    distance = _distance_to_shape(brushes, labels)
    composite(canvas, brushes.coverage(distance) * brushes.uniform(0.75, 1), _shape_color(brushes, hue, background))
    composite(canvas, brushes.line((0.01, 0.03)) * brushes.uniform(0, 0.7), brushes.color(_CLUTTER))
    # Grain is drawn last because its number of random draws depends on the size. So each size shows the same scene.
    grain = brushes.rng.random(canvas.shape, np.float32) - 0.5
    canvas += grain * brushes.uniform(5, 20)[:, None]
    return RenderedBatch(np.rint(canvas.clip(0, 255)).astype(np.uint8), labels, distance <= 0)


def _shuffled_labels(brushes: Painter) -> Labels:
    # Each group of ten images has every class once, so any number of images is balanced.
    classes = len(SIGNED_DISTANCES)
    order = brushes.rng.random((_BATCH // classes, classes)).argsort(axis=1)
    return order.reshape(-1).astype(np.int64)


def _paint_background(brushes: Painter, hue: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return canvases with a two-color texture, blobs and a line, and the mean of the two colors."""
    first = brushes.color(_BACKGROUND, hue)
    second = brushes.color(_BACKGROUND, hue + brushes.uniform(-0.2, 0.2))
    canvas = first + _texture(brushes)[:, None] * (second - first)
    for _ in range(_BLOBS):
        cover = brushes.blob((0.05, 0.20), (0.04, 0.12))
        composite(canvas, cover * brushes.uniform(0.3, 0.9), brushes.color(_CLUTTER))
    composite(canvas, brushes.line((0.01, 0.03)) * brushes.uniform(0.4, 1), brushes.color(_CLUTTER))
    return canvas, (first + second) / 2


def _texture(brushes: Painter) -> FloatArray:
    """Return a random mixture, 0..1, of a gradient, stripes and noise."""
    ramp = brushes.gradient()
    turns = ramp * brushes.uniform(2, 7) + brushes.uniform()
    stripes = (np.abs(turns - np.floor(turns) - 0.5) * 6 - 1).clip(0, 1)
    noise = brushes.value_noise(4) * 1.2 + brushes.value_noise(9) * 0.8 - 0.5
    weights = [brushes.uniform() for _ in range(3)]
    gradient, striped, noisy = (weight * weight * weight for weight in weights)
    mixed: FloatArray = gradient * (ramp + 0.5) + striped * stripes + noisy * noise
    return (mixed / (gradient + striped + noisy + 0.001)).clip(0, 1)


def _shape_color(brushes: Painter, hue: FloatArray, background: FloatArray) -> FloatArray:
    """Draw a light color with a different hue than the background, with reduced contrast in a few images."""
    color = brushes.color(_SHAPE, hue + brushes.uniform(0.15, 0.85))
    fade = brushes.uniform()[:, None]
    fade = fade * fade
    return color + (background - color) * (fade * fade * 0.75)


def _distance_to_shape(brushes: Painter, labels: Labels) -> FloatArray:
    """Place each shape at random, slightly rotated and stretched; return the signed distance of each pixel."""
    cosine, sine = brushes.random_rotation(limit=0.075)
    radius, stretch = brushes.uniform(0.27, 0.40), brushes.uniform(0.85, 1.15)
    x = brushes.grid.x - (radius + (1 - 2 * radius) * brushes.uniform())
    y = brushes.grid.y - (radius + (1 - 2 * radius) * brushes.uniform())
    across = (x * cosine + y * sine) / (radius * stretch)
    down = (y * cosine - x * sine) / (radius / stretch)
    distance = np.empty_like(across)
    for label, outline in enumerate(SIGNED_DISTANCES.values()):
        rows = labels == label
        distance[rows] = outline(across[rows], down[rows])
    return distance * radius
