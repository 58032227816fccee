"""Whether "90 % sure" is right nine times in ten."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15


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
    inner_edges = np.arange(1, BINS) / BINS
    bins = np.digitize(confidences, inner_edges, right=True)
    # |accuracy - confidence| * share of a bin is |sum of the differences in it| / n.
    gaps = np.bincount(bins, weights=correct - confidences, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidences))
