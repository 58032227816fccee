"""Whether "90 % sure" is right nine times in ten."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

BINS = 15


class Bin(TypedDict):
    """The answers of about one confidence: how many, how confident on average, and what share of them is right."""

    n: int
    confidence: float
    accuracy: float


def expected_calibration_error(confidences: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Return the mean gap between confidence and accuracy over 15 equally wide bins of confidence.

    Each bin counts by its share of the images, and holds its upper edge but not its lower one
    (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).

    Args:
        confidences: (n,), the probability of the predicted class, 0..1; n at least 1.
        correct: (n,), whether the prediction was right.

    Returns:
        0 (perfectly calibrated) to 1.
    """
    # |accuracy - confidence| * share of a bin is |sum of the differences in it| / n.
    return float(np.abs(gaps(correct - confidences, bin_of(confidences))).sum() / len(confidences))


def reliability(confidences: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[Bin]:
    """Return the bins that have answers, the least confident first."""
    bins = bin_of(confidences)
    return [
        {
            "n": int((bins == number).sum()),
            "confidence": float(confidences[bins == number].mean()),
            "accuracy": float(correct[bins == number].mean()),
        }
        for number in np.unique(bins)
    ]


def bin_of(confidences: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (n,): the number of the bin that each confidence is in, 0..14."""
    found: NDArray[np.int64] = np.digitize(confidences, np.arange(1, BINS) / BINS, right=True)
    return found


def gaps(misfits: NDArray[np.float64], bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of `misfits`, right answers less confidence, in each bin."""
    return np.bincount(bins, weights=misfits, minlength=BINS).astype(np.float64)
