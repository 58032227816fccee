"""Renderer of the `shapes` dataset.

Images are rendered in batches of a fixed size, each with its own random generator. So image i does not depend on
the number of images. Pixels are computed only with operations that IEEE 754 rounds exactly: no sums, powers or
matrix products. So the images are identical on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Labels, Pixels
from tinysight.data.sources.shapes.painter import Painter, Palette, PixelGrid, composite
from tinysight.data.sources.shapes.sdf import SIGNED_DISTANCES, FloatArray

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
    """Draw a light color with another hue than the background, with reduced contrast in a few images."""
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
