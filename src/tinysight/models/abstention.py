"""What a classifier gains by saying "unsure" where it is: the errors it avoids, and the answers this costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEVER = 2.0  # a confidence that no answer has


@dataclass(frozen=True)
class Abstention:
    """A rule for when to answer.

    Attributes:
        threshold: the confidence, 0..1, below which it says "unsure"; above 1 if it never may answer.
        coverage: the share of images that it answers for.
        error: the share of these answers that are wrong; 0 if there are none.
    """

    threshold: float
    coverage: float
    error: float


def choose_threshold(confidences: NDArray[np.floating], correct: NDArray[np.bool_], wanted_error: float) -> Abstention:
    """Return the lowest threshold with which no more than `wanted_error` of the answers to these images are wrong.

    Args:
        confidences: (n,), of the predicted class, 0..1.
        correct: (n,), whether it is right.
        wanted_error: 0..1.
    """
    thresholds, coverage, error = risk_coverage(confidences, correct)
    allowed = np.flatnonzero(error <= wanted_error)
    if not len(allowed):
        return Abstention(NEVER, 0.0, 0.0)
    most = allowed[-1]
    return Abstention(float(thresholds[most]), float(coverage[most]), float(error[most]))


def apply_threshold(confidences: NDArray[np.floating], correct: NDArray[np.bool_], threshold: float) -> Abstention:
    """Return what a threshold that was chosen elsewhere comes to on these images."""
    answered = confidences >= threshold
    error = float((~correct[answered]).mean()) if answered.any() else 0.0
    return Abstention(threshold, float(answered.mean()), error)


def risk_coverage(
    confidences: NDArray[np.floating], correct: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return thresholds, coverage and error of every rule of the form "answer if at least so sure".

    One entry for every confidence there is, the highest first, so coverage rises to 1 (El-Yaniv and Wiener, "On the
    Foundations of Noise-free Selective Classification", JMLR 2010).
    """
    order = np.argsort(-confidences, kind="stable")
    sure, wrong = confidences[order].astype(np.float64), np.cumsum(~correct[order])
    last = np.append(sure[1:] < sure[:-1], True)  # images of one confidence are answered together or not at all
    answered = np.arange(1, len(sure) + 1)
    return sure[last], (answered / len(sure))[last], (wrong / answered)[last]


def area_under_risk_coverage(confidences: NDArray[np.floating], correct: NDArray[np.bool_]) -> float:
    """Return the mean error over all coverages: 0 is best, the error itself is that of confidences that say nothing."""
    _, coverage, error = risk_coverage(confidences, correct)
    return float((np.diff(coverage, prepend=0.0) * error).sum())
