"""Thresholds of labels: the probability from which an image gets a label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.data.labels import Labels

DEFAULT = 0.5  # of a label that no image has


def choose_thresholds(probabilities: NDArray[np.floating[Any]], labels: Labels) -> tuple[float, ...]:
    """Return the threshold of each label that gives the highest F1 on these images.

    Between two neighboring probabilities, every threshold gives the same F1; the middle is taken. Of several such
    intervals, the one nearest to 0.5 is. A label that no image has gets a threshold of 0.5.

    Args:
        probabilities: (n, labels), 0..1.
        labels: int64, (n, labels), 1 where the image has the label.
    """
    return tuple(_choose(column, has_label) for column, has_label in zip(probabilities.T, labels.T, strict=True))


def _choose(probabilities: NDArray[np.floating[Any]], has_label: NDArray[np.int64]) -> float:
    if not has_label.any():
        return DEFAULT
    order = np.argsort(-probabilities, kind="stable")
    descending = probabilities[order].astype(np.float64)
    is_last = np.append(descending[1:] < descending[:-1], True)  # a threshold cannot separate equal probabilities
    correct, predicted = np.cumsum(has_label[order])[is_last], np.flatnonzero(is_last) + 1
    f1 = 2 * correct / (predicted + has_label.sum())
    accepted = descending[is_last]
    thresholds = (accepted + np.append(accepted[1:], 0.0)) / 2
    best = thresholds[np.isclose(f1, f1.max(), rtol=1e-12, atol=0)]
    return float(best[np.abs(best - DEFAULT).argmin()])
