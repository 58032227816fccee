"""How far the figures of metrics.json would differ on other test images of the same kind."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from tinysight.evaluation.bootstrap import Figures, bootstrap
from tinysight.evaluation.calibration import bin_of, gaps
from tinysight.evaluation.loss import losses

METHOD = "95 %: accuracies by Wilson's score, all others by bootstrap of the images (percentiles of 1,000 resamples)"

Ends = list[float]
SHARES = ("precision", "recall", "f1")


class Intervals(TypedDict):
    """The lower and the upper end of each figure; `accuracy_tta` is None if it was not measured."""

    method: str
    accuracy_tta: Ends | None
    loss: Ends
    ece: Ends
    macro: dict[str, Ends]
    weighted: dict[str, Ends]
    per_class: dict[str, dict[str, Ends]]


def intervals(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], class_names: tuple[str, ...]
) -> Intervals:
    """Return the intervals of what `measure` measures.

    Args:
        probabilities: (n, classes).
        labels: (n,).
        class_names: in the order of the labels.
    """
    classes = len(class_names)
    low, high = bootstrap(_figures(probabilities.astype(np.float64), labels), len(labels))
    ends = [[float(one), float(other)] for one, other in zip(low, high, strict=True)]
    loss, ece, *shares = ends
    by_row = [dict(zip(SHARES, shares[row :: classes + 2], strict=True)) for row in range(classes + 2)]
    return {
        "method": METHOD,
        "accuracy_tta": None,
        "loss": loss,
        "ece": ece,
        "macro": by_row[classes],
        "weighted": by_row[classes + 1],
        "per_class": dict(zip(class_names, by_row[:classes], strict=True)),
    }


def _figures(probabilities: NDArray[np.float64], labels: NDArray[np.integer[Any]]) -> Any:
    """Return the function from how often each image counts to loss, ECE, and precision, recall and F1 of all rows."""
    classes = probabilities.shape[1]
    answers, confidences = probabilities.argmax(1), probabilities.max(1)
    costs = losses(probabilities, labels)
    cells, bins = labels * classes + answers, bin_of(confidences)
    misfits = (answers == labels) - confidences

    def figures(counts: NDArray[np.int64]) -> Figures:
        confusion = np.bincount(cells, counts, classes**2).reshape(classes, classes).astype(np.float64)
        n = counts.sum()
        loss, ece = (counts * costs).sum() / n, np.abs(gaps(misfits * counts, bins)).sum() / n
        return np.concatenate([[loss, ece], *_shares(confusion)])

    return figures


def _shares(confusion: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return precision, recall and F1, each of all classes, of their mean and of their mean by support."""
    right, support, told = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore"):  # a class that is never told, or has no images, scores 0 as in `measure`
        by_class = [np.nan_to_num(right / told), np.nan_to_num(right / support), 2 * right / (support + told)]
    return tuple(
        np.concatenate([values, [values.mean(), np.average(values, weights=support)]])
        for values in map(np.nan_to_num, by_class)
    )
