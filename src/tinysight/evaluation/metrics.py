"""What the probabilities of a classifier are worth: the content of metrics.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from tinysight.errors import TinysightError
from tinysight.evaluation.calibration import Bin, expected_calibration_error, reliability
from tinysight.evaluation.intervals import wilson_interval
from tinysight.evaluation.loss import losses
from tinysight.evaluation.spread import Intervals, intervals
from tinysight.models.abstention import apply_threshold, area_under_risk_coverage, risk_coverage
from tinysight.runs.records import FORMAT

Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

_POINTS = 101  # of the curve that are kept


class Scores(TypedDict):
    """One line of the classification report; precision, recall and F1 are 0..1, support counts images."""

    precision: float
    recall: float
    f1: float
    support: int


class Calibration(TypedDict):
    """How well confidence and accuracy agree (`ece`, 0..1, and bin by bin), at which temperature of the softmax."""

    ece: float
    temperature: float
    bins: list[Bin]


class Unsure(TypedDict):
    """What it comes to that answers below a confidence of `threshold` are "unsure".

    `coverage` is the share of images that are answered, `error` the share of wrong ones among these answers; `curve`
    has both for other thresholds, the highest first, and `area` the mean error over all coverages.
    """

    threshold: float
    coverage: float
    error: float
    area: float
    curve: list[list[float]]


class Metrics(TypedDict):
    """What metrics.json holds; rows of the confusion matrix are true classes, columns predicted ones."""

    format: int
    split: str
    n: int
    accuracy: float
    accuracy_ci95: list[float]
    loss: float
    accuracy_tta: float | None
    per_class: dict[str, Scores]
    macro: Scores
    weighted: Scores
    confusion_matrix: list[list[int]]
    calibration: Calibration
    unsure: Unsure
    intervals: Intervals


def measure(
    probabilities: Probabilities,
    labels: Labels,
    class_names: Sequence[str],
    split: str,
    temperature: float = 1.0,
    unsure_below: float = 0.0,
) -> Metrics:
    """Measure predicted probabilities against the true labels.

    Args:
        probabilities: (n, classes), each row 0..1 and summing to 1, made without TTA.
        labels: (n,), the true classes, 0..classes-1.
        class_names: one distinct name a class, in the order of the labels.
        split: the name of the split the images belong to.
        temperature: what the logits were divided by before the softmax; recorded, not applied.
        unsure_below: the confidence, 0..1, below which the answer is "unsure".

    Returns:
        Plain Python values, ready for JSON. A class that is never predicted, or that has no images,
        scores 0. `accuracy_tta` is None; whoever measures with TTA fills it in.

    Raises:
        TinysightError: there is nothing to measure, or the arrays do not fit together or hold NaN.
    """
    _check(probabilities, labels, class_names, split)
    probabilities = probabilities.astype(np.float64)
    predictions = probabilities.argmax(axis=1)
    correct = predictions == labels
    confidences = probabilities.max(axis=1)
    n, hits = len(labels), int(correct.sum())
    return {
        "format": FORMAT,
        "split": split,
        "n": n,
        "accuracy": hits / n,
        "accuracy_ci95": list(wilson_interval(hits, n)),
        "loss": float(losses(probabilities, labels).mean()),
        "accuracy_tta": None,
        "per_class": _per_class(labels, predictions, class_names),
        "macro": _average(labels, predictions, len(class_names), "macro"),
        "weighted": _average(labels, predictions, len(class_names), "weighted"),
        "confusion_matrix": confusion_matrix(labels, predictions, labels=range(len(class_names))).tolist(),
        "calibration": {
            "ece": expected_calibration_error(confidences, correct),
            "temperature": float(temperature),
            "bins": reliability(confidences, correct),
        },
        "unsure": _unsure(confidences, correct, unsure_below),
        "intervals": intervals(probabilities, labels, tuple(class_names)),
    }


def _unsure(confidences: NDArray[np.float64], correct: NDArray[np.bool_], threshold: float) -> Unsure:
    rule = apply_threshold(confidences, correct, threshold)
    _, coverage, error = risk_coverage(confidences, correct)
    shown = np.unique(np.linspace(0, len(coverage) - 1, _POINTS).round().astype(int))
    return {
        "threshold": float(threshold),
        "coverage": rule.coverage,
        "error": rule.error,
        "area": area_under_risk_coverage(confidences, correct),
        "curve": [[float(coverage[index]), float(error[index])] for index in shown],
    }


def _check(probabilities: Probabilities, labels: Labels, class_names: Sequence[str], split: str) -> None:
    n, classes = len(labels), len(class_names)
    if n == 0:
        raise TinysightError(f"The {split} split has no images, so there is nothing to measure.")
    if probabilities.shape != (n, classes) or labels.min() < 0 or labels.max() >= classes:
        raise TinysightError(
            f"Probabilities of shape {probabilities.shape} and labels {labels.min()} to {labels.max()} do not"
            f" fit {n} images of {classes} classes. Use the data that the model was trained for."
        )
    if not np.isfinite(probabilities).all():
        raise TinysightError(
            f"The model's probabilities on the {split} split are not all numbers (NaN or infinity)."
            " Its weights are damaged or its training diverged; train it again."
        )


def _per_class(labels: Labels, predictions: Labels, class_names: Sequence[str]) -> dict[str, Scores]:
    columns = precision_recall_fscore_support(labels, predictions, labels=range(len(class_names)), zero_division=0)
    return {name: _scores(*row) for name, *row in zip(class_names, *columns, strict=True)}


def _average(labels: Labels, predictions: Labels, classes: int, kind: str) -> Scores:
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predictions, labels=range(classes), average=kind, zero_division=0
    )
    return _scores(precision, recall, f1, len(labels))


def _scores(precision: float, recall: float, f1: float, support: int) -> Scores:
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}
