"""Selective prediction: abstention thresholds and risk-coverage curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALWAYS_ABSTAIN = 2.0  # above every confidence: abstains on all images


@dataclass(frozen=True)
class SelectiveResult:
    """An abstention threshold with its coverage and selective error.

    Attributes:
        threshold: confidence below which the classifier abstains, 0..1; above 1 if it always abstains.
        coverage: fraction of the images that get a prediction.
        error: fraction of these predictions that are wrong; 0 if there are none.
    """

    threshold: float
    coverage: float
    error: float


def choose_threshold(
    confidences: NDArray[np.floating], correct: NDArray[np.bool_], target_error: float
) -> SelectiveResult:
    """Return the lowest threshold whose selective error on these images is at most `target_error`.

    Args:
        confidences: (n,), probability of the predicted class, 0..1.
        correct: (n,), whether the predicted class is correct.
        target_error: the largest allowed selective error, 0..1.
    """
    thresholds, coverage, error = risk_coverage(confidences, correct)
    allowed = np.flatnonzero(error <= target_error)
    if not len(allowed):
        return SelectiveResult(ALWAYS_ABSTAIN, 0.0, 0.0)
    index = allowed[-1]
    return SelectiveResult(float(thresholds[index]), float(coverage[index]), float(error[index]))


def apply_threshold(confidences: NDArray[np.floating], correct: NDArray[np.bool_], threshold: float) -> SelectiveResult:
    """Return the coverage and selective error of a given threshold on these images."""
    accepted = confidences >= threshold
    error = float((~correct[accepted]).mean()) if accepted.any() else 0.0
    return SelectiveResult(threshold, float(accepted.mean()), error)


def risk_coverage(
    confidences: NDArray[np.floating], correct: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the risk-coverage curve: thresholds, coverage and selective error.

    There is one entry per distinct confidence, highest first, so coverage rises to 1 (El-Yaniv and Wiener, "On the
    Foundations of Noise-free Selective Classification", JMLR 2010).
    """
    order = np.argsort(-confidences, kind="stable")
    thresholds, n_wrong = confidences[order].astype(np.float64), np.cumsum(~correct[order])
    last = np.append(thresholds[1:] < thresholds[:-1], True)  # a threshold cannot separate equal confidences
    n_accepted = np.arange(1, len(thresholds) + 1)
    return thresholds[last], (n_accepted / len(thresholds))[last], (n_wrong / n_accepted)[last]


def area_under_risk_coverage(confidences: NDArray[np.floating], correct: NDArray[np.bool_]) -> float:
    """Return the area under the risk-coverage curve (AURC); 0 is best, uninformative confidences give the error."""
    _, coverage, error = risk_coverage(confidences, correct)
    return float((np.diff(coverage, prepend=0.0) * error).sum())
