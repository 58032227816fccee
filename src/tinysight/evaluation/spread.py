"""Confidence intervals of the metrics in metrics.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from tinysight.evaluation.bootstrap import Figures, bootstrap
from tinysight.evaluation.calibration import bin_of, gaps
from tinysight.evaluation.loss import losses

METHOD = "95 %: Wilson score for accuracies, percentile bootstrap over images (1,000 resamples) for all others"

Ends = list[float]
SHARES = ("precision", "recall", "f1")


class Intervals(TypedDict):
    """The lower and the upper bound of each metric; `accuracy_tta` is None if it was not computed."""

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
    """Return bootstrap intervals of the metrics that `compute_metrics` computes.

    Args:
        probabilities: (n, classes).
        labels: (n,), the true classes.
        class_names: in the order of the labels.
    """
    classes = len(class_names)
    low, high = bootstrap(_statistics(probabilities.astype(np.float64), labels), len(labels))
    bounds = [[float(lower), float(upper)] for lower, upper in zip(low, high, strict=True)]
    loss, ece, *scores = bounds
    # The rows are the classes, then the macro and the weighted average.
    by_row = [dict(zip(SHARES, scores[row :: classes + 2], strict=True)) for row in range(classes + 2)]
    return {
        "method": METHOD,
        "accuracy_tta": None,
        "loss": loss,
        "ece": ece,
        "macro": by_row[classes],
        "weighted": by_row[classes + 1],
        "per_class": dict(zip(class_names, by_row[:classes], strict=True)),
    }


def _statistics(
    probabilities: NDArray[np.float64], labels: NDArray[np.integer[Any]]
) -> Callable[[NDArray[np.int64]], Figures]:
    """Return a function from image counts, (n,), to the loss, the ECE, and precision, recall and F1 of all rows."""
    classes = probabilities.shape[1]
    predictions, confidences = probabilities.argmax(1), probabilities.max(1)
    nats = losses(probabilities, labels)
    cells, bins = labels * classes + predictions, bin_of(confidences)
    residuals = (predictions == labels) - confidences

    def statistics(counts: NDArray[np.int64]) -> Figures:
        confusion = np.bincount(cells, counts, classes**2).reshape(classes, classes).astype(np.float64)
        n = counts.sum()
        loss, ece = (counts * nats).sum() / n, np.abs(gaps(residuals * counts, bins)).sum() / n
        return np.concatenate([[loss, ece], *_class_scores(confusion)])

    return statistics


def _class_scores(confusion: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return precision, recall and F1, each (classes + 2,): by class, macro average, weighted average."""
    correct, support, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore"):  # a class without predictions or images scores 0, as in `compute_metrics`
        by_class = [np.nan_to_num(correct / predicted), np.nan_to_num(correct / support)]
        by_class.append(2 * correct / (support + predicted))
    return tuple(
        np.concatenate([values, [values.mean(), np.average(values, weights=support)]])
        for values in map(np.nan_to_num, by_class)
    )
