"""The mistakes a classifier was surest of: wrong labels, odd pictures and blind spots meet the eye here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from tinysight.data.dataset import Part, Pixels
from tinysight.reporting import style
from tinysight.reporting.lettering import elide, percent

Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

_COLUMNS, _ROWS = 5, 4
# In dots: the margin on the left, the steps from picture to picture, and the square a picture must fit in.
_LEFT, _ACROSS, _DOWN, _BOX = 26, 234, 280, 200


def mistakes_sheet(
    part: Part, probabilities: Probabilities, class_names: Sequence[str], title: str, note: str = ""
) -> Figure:
    """Show the mistakes that a classifier was surest of, at most 20, surest first.

    Args:
        part: the images that were classified, with their true labels.
        probabilities: (n, classes), what the classifier made of them.
        class_names: one name a class, in the order of the labels.
        title: dataset, split, n, recipe and whatever else tells this sheet from others.
        note: what a reader must know before trusting the sheet.
    """
    wrong = most_confident_mistakes(probabilities, part.labels, len(part))
    chosen = wrong[: _COLUMNS * _ROWS]
    rows = -(-len(chosen) // _COLUMNS)
    remark = f"Mistakes: {len(wrong):,}. Shown: the {len(chosen)} that the classifier was surest of."
    remark = remark if rows else "No mistakes: every image was classified correctly."
    figure = style.page(rows * _DOWN / style.DPI + 0.1, title, note, remark)
    for number, index in enumerate(chosen):
        row, column = divmod(number, _COLUMNS)
        left, top = _LEFT + column * _ACROSS, (rows - row) * _DOWN
        picture = fitted(part.pixels[index].transpose(1, 2, 0), _BOX)
        figure.figimage(picture, left, top - len(picture), origin="upper")
        _write(figure, left, top - len(picture), _words(part, index, probabilities[index], class_names))
    return figure


def most_confident_mistakes(probabilities: Probabilities, labels: Labels, k: int) -> NDArray[np.intp]:
    """Return the indices of the (at most) `k` wrong predictions with the highest confidence, highest first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    surest_first = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[surest_first[:k]]


def _words(part: Part, index: int, probabilities: Probabilities, class_names: Sequence[str]) -> tuple[str, str, str]:
    """Return what the image is, what the classifier said, and how to find the image again."""
    said, confidence = int(probabilities.argmax()), float(probabilities.max())
    return (
        f"{elide(class_names[part.labels[index]], 24)},",
        f"said {elide(class_names[said], 14)} {percent(confidence)}",
        elide(PurePath(part.files[index]).name, 20) if part.files else f"image {index}",
    )


def _write(figure: Figure, left: int, top: int, words: Sequence[str]) -> None:
    width, height = figure.get_size_inches() * style.DPI
    looks = [style.font(style.SMALL, colour) for colour in (style.INK, style.VALIDATION, style.MUTED)]
    for number, (line, look) in enumerate(zip(words, looks, strict=True)):
        figure.text(left / width, (top - 5 - 19 * number) / height, line, va="top", **look)


def fitted(image: Pixels, box: int) -> Pixels:
    """Return a (height, width, 3) image with every pixel a square of dots, as large as a box of that side allows.

    An image that is larger than the box is made smaller instead.
    """
    factor = box // max(image.shape[:2])
    if factor >= 1:
        return image.repeat(factor, axis=0).repeat(factor, axis=1)
    smaller = Image.fromarray(image)
    smaller.thumbnail((box, box))
    return np.asarray(smaller)
