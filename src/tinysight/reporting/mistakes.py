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
from tinysight.reporting.lettering import elide

Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

_COLUMNS, _ROWS = 6, 4
_LEFT, _PITCH, _BOX, _TEXT = 26, 193, 168, 84  # pixels: margin, step to the right, picture, words below it


def mistakes_sheet(
    part: Part, probabilities: Probabilities, class_names: Sequence[str], title: str, note: str = ""
) -> Figure:
    """Show the up to 24 mistakes in `part` that the classifier was surest of.

    Args:
        part: the images that were classified, with their true labels.
        probabilities: (n, classes), what the classifier made of them.
        class_names: one name a class, in the order of the labels.
        title: dataset, split, n, recipe and whatever else tells this sheet from others.
        note: what a reader must know before trusting the sheet.
    """
    chosen = most_confident_mistakes(probabilities, part.labels, _COLUMNS * _ROWS)
    return mistakes(
        part.pixels[chosen],
        [class_names[label] for label in part.labels[chosen]],
        [class_names[label] for label in probabilities[chosen].argmax(axis=1)],
        [float(confidence) for confidence in probabilities[chosen].max(axis=1)],
        [PurePath(part.files[index]).name if part.files else f"image {index}" for index in chosen],
        title,
        note,
    )


def most_confident_mistakes(probabilities: Probabilities, labels: Labels, k: int) -> NDArray[np.intp]:
    """Return the indices of the (at most) `k` wrong predictions with the highest confidence, highest first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    surest_first = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[surest_first[:k]]


def mistakes(
    images: Pixels,
    true_names: Sequence[str],
    predicted_names: Sequence[str],
    confidences: Sequence[float],
    captions: Sequence[str],
    title: str,
    note: str = "",
) -> Figure:
    """Show wrongly classified images, enlarged pixel by pixel, six in a row.

    Args:
        images: uint8, (k, 3, height, width); k may be 0.
        true_names: what is on each image.
        predicted_names: what the classifier said.
        confidences: how sure it was, 0..1.
        captions: how to find each image again.
        title: dataset, split, n, recipe and whatever else tells this sheet from others.
        note: what a reader must know before trusting the sheet.
    """
    rows = max(1, -(-len(images) // _COLUMNS))
    figure = style.page(rows * (_BOX + _TEXT) / style.DPI, title, note, "" if len(images) else "No mistakes.")
