"""Scores of predicted classes or labels that count every class equally."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.data.labels import Labels

ClassIndices = NDArray[np.integer[Any]]
LabelMatrix = NDArray[np.integer[Any]] | NDArray[np.bool_]


def predicted_labels(probabilities: NDArray[np.floating[Any]], thresholds: Sequence[float] = ()) -> Labels:
    """Return the predicted classes of images, int64 (n,), or with thresholds the labels that they get, (n, labels).

    >>> predicted_labels(np.array([[0.2, 0.7]])), predicted_labels(np.array([[0.2, 0.7]]), (0.1, 0.5))
    (array([1]), array([[1, 1]]))

    Args:
        probabilities: (n, classes), 0..1.
        thresholds: several labels per image: the probability from which an image gets each.
    """
    if not thresholds:
        return np.asarray(probabilities.argmax(1), dtype=np.int64)
    return (probabilities.astype(np.float64) >= np.asarray(thresholds)).astype(np.int64)


def is_correct(predictions: Labels, labels: Labels) -> NDArray[np.bool_]:
    """Return whether the class of each image is predicted correctly, or all of its labels, bool (n,)."""
    matches = np.asarray(predictions == labels)
    return matches if matches.ndim == 1 else np.asarray(matches.all(axis=1))


def balanced_accuracy(labels: ClassIndices, predictions: ClassIndices) -> float:
    """Return the mean recall of the classes that have images, 0..1, as scikit-learn does.

    >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
    0.5
    """
    support, correct = np.bincount(labels), np.bincount(labels[labels == predictions], minlength=labels.max() + 1)
    return float((correct[support > 0] / support[support > 0]).mean())


def macro_f1(labels: ClassIndices, predictions: ClassIndices, classes: int) -> float:
    """Return the mean F1 of all classes, 0..1; that of a class without images and predictions is 0."""
    support, predicted = (np.bincount(indices, minlength=classes) for indices in (labels, predictions))
    correct = np.bincount(labels[labels == predictions], minlength=classes)
    return float((2 * correct / np.maximum(support + predicted, 1)).mean())


def label_f1(labels: LabelMatrix, predictions: LabelMatrix) -> NDArray[np.float64]:
    """Return the F1 of each label, (labels,), 0..1; that of a label without images and predictions is 0.

    Args:
        labels: (n, labels), 1 or true where the image has the label.
        predictions: (n, labels), where it is predicted.
    """
    correct = (labels.astype(bool) & predictions.astype(bool)).sum(0)
    f1: NDArray[np.float64] = 2 * correct / np.maximum(labels.sum(0) + predictions.sum(0), 1)
    return f1


def average_precisions(labels: LabelMatrix, scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the average precision of each label, (labels,), 0..1; NaN for a label without images.

    Args:
        labels: (n, labels), 1 where the image has the label.
        scores: (n, labels), higher where the label is more probable.
    """
    from sklearn.metrics import average_precision_score  # imported here, because it takes a second

    return np.array(
        [
            average_precision_score(has_label, column) if has_label.any() else math.nan
            for has_label, column in zip(labels.T, scores.T, strict=True)
        ]
    )


def mean_average_precision(precisions: NDArray[np.float64]) -> float | None:
    """Return the mean average precision (mAP) of the labels that have images; None if there are none."""
    return None if np.isnan(precisions).all() else float(np.nanmean(precisions))


def never_predicted(confusion: NDArray[np.integer[Any]], class_names: Sequence[str]) -> dict[str, int]:
    """Return the classes that have images but are never predicted, with their numbers of images.

    Args:
        confusion: (classes, classes), number of images by true class (row) and predicted class (column).
        class_names: in the order of the rows.
    """
    support, predicted = confusion.sum(1), confusion.sum(0)
    missing = np.flatnonzero((support > 0) & (predicted == 0)).tolist()
    return {class_names[index]: int(support[index]) for index in missing}


def describe_never_predicted(classes: dict[str, int], split: str) -> str:
    """Return a warning about classes that are never predicted; "" if there are none."""
    if not classes:
        return ""
    most = 5
    names = [f"{name} ({'1 image' if n == 1 else f'{n:,} images'})" for name, n in list(classes.items())[:most]]
    more = [f"{len(classes) - most:,} more"] * (len(classes) > most)
    return (
        f"Never predicted on the {split} images: {', '.join([*names, *more])}. If these classes are rare, train with "
        "training.class_weight=balanced or training.sampling=balanced."
    )


def describe_thresholds(n_validation: int) -> str:
    """Return how the threshold of each label was chosen."""
    return f"The threshold of each label is the one with the highest F1 on {n_validation:,} validation images."
