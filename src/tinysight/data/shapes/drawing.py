"""Drawing the pictures of the `shapes` dataset.

Pictures are drawn in batches of a fixed size, each batch from a random stream of its own, so that picture i
does not depend on how many are drawn. Only operations that IEEE 754 rounds exactly touch the pixels (no sums,
powers or matrix products, whose order or last digit differs between processors), so neither does it depend
on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Labels, Pixels
from tinysight.data.shapes.brushes import Brushes, Grid, Palette, lay
from tinysight.data.shapes.outlines import OUTLINES, Field

Masks = NDArray[np.bool_]

_BATCH = 100  # a multiple of the classes; few enough for the processor's cache

# Shapes are lighter than what lies behind them: with either order, the notebooks' networks learn nothing
# from 10,000 pictures. The numbers here set how hard the pictures are (see the slow test).
_GROUND = Palette(saturation=(0.0, 0.6), value=(20, 120))
_CLUTTER = Palette(saturation=(0.0, 0.6), value=(20, 150))
_SHAPE = Palette(saturation=(0.1, 0.75), value=(165, 255))
_BLOBS = 3


@dataclass(frozen=True)
class Drawn:
    """Pictures, what they show, and where.

    Attributes:
        pixels: uint8, (n, 3, size, size), RGB, 0..255.
        labels: int64, (n,), indices into the names of the outlines.
        masks: bool, (n, size, size), True where the shape is, also where a line crosses it.
    """

    pixels: Pixels
    labels: Labels
    masks: Masks


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the random stream number `key` of `seed`; no two are alike."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def draw(n: int, seed: int, size: int = 32, split: int = 0) -> Drawn:
    """Draw `n` pictures, whose classes are balanced (±1) and shuffled.

    Args:
        n: how many, 0 or more. The first k of n pictures are the k pictures of `draw(k, ...)`.
        seed: 0 or more; the same seed gives the same pictures, to the bit.
        size: height and width, in pixels.
        split: another number gives other pictures of the same seed.

    Returns:
        The pictures with their labels and masks.
    """
    drawn = Drawn(np.empty((n, 3, size, size), np.uint8), np.empty(n, np.int64), np.empty((n, size, size), np.bool_))
    for number, start in enumerate(range(0, n, _BATCH)):
        batch = _draw_batch(Brushes(stream(seed, split, number), _BATCH, Grid.of(size)))
        count = min(_BATCH, n - start)
        drawn.pixels[start : start + count] = batch.pixels[:count]
        drawn.labels[start : start + count] = batch.labels[:count]
        drawn.masks[start : start + count] = batch.masks[:count]
    return drawn


def _draw_batch(brushes: Brushes) -> Drawn:
    labels = _shuffled_labels(brushes)
    hue = brushes.uniform()
    canvas, ground = _background(brushes, hue)
    distance = _distance_to_shape(brushes, labels)
    lay(canvas, brushes.cover(distance) * brushes.uniform(0.75, 1), _shape_colour(brushes, hue, ground))
    lay(canvas, brushes.line((0.01, 0.03)) * brushes.uniform(0, 0.7), brushes.colour(_CLUTTER))
    # The grain comes last: it alone takes more random numbers for larger pictures, which then show the same scene.
    grain = brushes.random.random(canvas.shape, np.float32) - 0.5
    canvas += grain * brushes.uniform(5, 20)[:, None]
    return Drawn(np.rint(canvas.clip(0, 255)).astype(np.uint8), labels, distance <= 0)


def _shuffled_labels(brushes: Brushes) -> Labels:
    # Every ten pictures hold each class once, so that any number of pictures is balanced.
    classes = len(OUTLINES)
    order = brushes.random.random((_BATCH // classes, classes)).argsort(axis=1)
    return order.reshape(-1).astype(np.int64)


def _background(brushes: Brushes, hue: Field) -> tuple[Field, Field]:
    """Return canvases with a two-coloured texture, blobs and a line, and each one's middle colour."""
    first = brushes.colour(_GROUND, hue)
    second = brushes.colour(_GROUND, hue + brushes.uniform(-0.2, 0.2))
    canvas = first + _texture(brushes)[:, None] * (second - first)
    for _ in range(_BLOBS):
        cover = brushes.blob((0.05, 0.20), (0.04, 0.12))
        lay(canvas, cover * brushes.uniform(0.3, 0.9), brushes.colour(_CLUTTER))
    lay(canvas, brushes.line((0.01, 0.03)) * brushes.uniform(0.4, 1), brushes.colour(_CLUTTER))
    return canvas, (first + second) / 2


def _texture(brushes: Brushes) -> Field:
    """Return fields, 0..1, in which a gradient, stripes and noise are mixed in any proportion."""
    ramp = brushes.ramp()
    turns = ramp * brushes.uniform(2, 7) + brushes.uniform()
    stripes = (np.abs(turns - np.floor(turns) - 0.5) * 6 - 1).clip(0, 1)
    noise = brushes.noise(4) * 1.2 + brushes.noise(9) * 0.8 - 0.5
    weights = [brushes.uniform() for _ in range(3)]
    gradient, striped, noisy = (weight * weight * weight for weight in weights)
    mixed: Field = gradient * (ramp + 0.5) + striped * stripes + noisy * noise
    return (mixed / (gradient + striped + noisy + 0.001)).clip(0, 1)


def _shape_colour(brushes: Brushes, hue: Field, ground: Field) -> Field:
    """Mix a light colour of another hue than the ground's, weakened towards the ground in a few pictures."""
    pure = brushes.colour(_SHAPE, hue + brushes.uniform(0.15, 0.85))
    weakness = brushes.uniform()[:, None]
    weakness = weakness * weakness
    return pure + (ground - pure) * (weakness * weakness * 0.75)


def _distance_to_shape(brushes: Brushes, labels: Labels) -> Field:
    """Put each picture's shape somewhere, slightly turned and stretched; return each pixel's distance to it."""
    cosine, sine = brushes.direction(limit=0.075)
    radius, stretch = brushes.uniform(0.27, 0.40), brushes.uniform(0.85, 1.15)
    x = brushes.grid.x - (radius + (1 - 2 * radius) * brushes.uniform())
    y = brushes.grid.y - (radius + (1 - 2 * radius) * brushes.uniform())
    across = (x * cosine + y * sine) / (radius * stretch)
    down = (y * cosine - x * sine) / (radius / stretch)
    distance = np.empty_like(across)
    for label, outline in enumerate(OUTLINES.values()):
        rows = labels == label
        distance[rows] = outline(across[rows], down[rows])
    return distance * radius
