"""Image grid of the most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from tinysight._util.formatting import percent
from tinysight.data.dataset import Pixels, Split
from tinysight.reporting import style
from tinysight.reporting.text import truncate_middle

Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

_COLUMNS, _ROWS = 5, 4
# In dots: left margin, horizontal and vertical step between images, largest side of an image.
_LEFT, _STEP_X, _STEP_Y, _BOX = 26, 234, 280, 200


def plot_mistakes(
    part: Split, probabilities: Probabilities, class_names: Sequence[str], title: str, note: str = ""
) -> Figure:
    """Plot the most confident mistakes, at most 20, in descending order of confidence.

    Args:
        part: the images with their true labels.
        probabilities: (n, classes), predicted probabilities.
        class_names: names of the classes, in the order of the labels.
        title: title of the plot: dataset, split, n, recipe.
        note: a caveat below the title.
    """
    wrong = most_confident_mistakes(probabilities, part.labels, len(part))
    chosen = wrong[: _COLUMNS * _ROWS]
    rows = -(-len(chosen) // _COLUMNS)
    counts = f"{len(wrong):,} mistakes in {len(part):,} images; the {len(chosen)} most confident are shown."
    counts = counts if rows else f"No mistakes in {len(part):,} images."
    figure = style.new_figure(rows * _STEP_Y / style.DPI + 0.1, title, note, counts)
    for number, index in enumerate(chosen):
        row, column = divmod(number, _COLUMNS)
        left, top = _LEFT + column * _STEP_X, (rows - row) * _STEP_Y
        image = scale_to_box(part.pixels[index].transpose(1, 2, 0), _BOX)
        figure.figimage(image, left, top - len(image), origin="upper")
        caption = _caption(part, index, probabilities[index], class_names)
        colors = (style.INK, style.VALIDATION, style.MUTED)
        style.write_lines(figure, left, top - len(image) - 5, list(zip(caption, colors, strict=True)))
    return figure


def most_confident_mistakes(probabilities: Probabilities, labels: Labels, k: int) -> NDArray[np.intp]:
    """Return the indices of at most `k` wrong predictions, in descending order of confidence."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[order[:k]]


def _caption(part: Split, index: int, probabilities: Probabilities, class_names: Sequence[str]) -> tuple[str, str, str]:
    """Return the true class, the prediction with its confidence, and the file or index of an image."""
    predicted, confidence = int(probabilities.argmax()), float(probabilities.max())
    return (
        f"true: {truncate_middle(class_names[part.labels[index]], 20)}",
        f"pred: {truncate_middle(class_names[predicted], 12)} {percent(confidence)}",
        truncate_middle(PurePath(part.files[index]).name, 20) if part.files else f"image {index}",
    )


def scale_to_box(image: Pixels, box: int) -> Pixels:
    """Return an image, (height, width, 3), scaled to fit a square of `box` dots.

    Smaller images are enlarged by a whole factor without interpolation; larger images are reduced.
    """
    factor = box // max(image.shape[:2])
    if factor >= 1:
        return image.repeat(factor, axis=0).repeat(factor, axis=1)
    smaller = Image.fromarray(image)
    smaller.thumbnail((box, box))
    return np.asarray(smaller)
