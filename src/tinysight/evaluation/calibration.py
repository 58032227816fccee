"""Negative log-likelihood and calibration error of predicted probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.runs.records import ReliabilityBin

N_BINS = 15


def negative_log_likelihood(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]
) -> NDArray[np.floating[Any]]:
    """Return the negative log-likelihood of each true class in nats, (n,), from probabilities (n, classes).

    Probabilities are clipped to the smallest normal float32, so the largest loss is 87 nats instead of infinity.
    A float32 softmax that did not underflow is not changed.
    """
    true_class = probabilities[np.arange(len(labels)), labels]
    nats: NDArray[np.floating[Any]] = -np.log(np.maximum(true_class, np.finfo(np.float32).tiny))
    return nats


def expected_calibration_error(confidences: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Return the expected calibration error (ECE) with 15 bins of equal width.

    The ECE is the mean gap between confidence and accuracy, weighted by the number of images in each bin. A bin
    contains its upper edge but not its lower one. Source: Guo et al., "On Calibration of Modern Neural Networks",
    ICML 2017.

    Args:
        confidences: (n,), the probability of the predicted class, 0..1; n at least 1.
        correct: (n,), whether the prediction is correct.

    Returns:
        0 (perfectly calibrated) to 1.
    """
    # |accuracy - confidence| * (bin size / n) equals |sum of (correct - confidence) in the bin| / n.
    return float(np.abs(bin_sums(correct - confidences, bin_indices(confidences))).sum() / len(confidences))


def debiased_calibration_error(
    confidences: NDArray[np.float64], correct: NDArray[np.bool_]
) -> tuple[float, tuple[float, float]]:
    """Return the debiased root-mean-square calibration error and its 95% interval.

    The ECE of few images is too large even for a perfectly calibrated classifier, because chance gaps do not cancel.
    Here the variance of each gap is subtracted from its square: Kumar, Liang and Ma, "Verified Uncertainty Calibration"
    (NeurIPS 2019). The interval is the normal approximation of Sun et al., "A Confidence Interval for the l2 Expected
    Calibration Error" (2024), with smoothed variances, so that it is wide where few images are all correct. There are
    up to 15 bins with equal numbers of images, at least 5 in each where possible.

    Args:
        confidences: (n,), the probability of the predicted class, 0..1; n at least 1.
        correct: (n,), whether the prediction is correct.

    Returns:
        The error, 0 (perfectly calibrated) to 1, and its lower and upper bound. For one image: the gap, 0 and 1.
    """
    n, order = len(confidences), np.argsort(confidences, kind="stable")
    if n == 1:
        return float(abs(correct[0] - confidences[0])), (0.0, 1.0)
    square = variance = 0.0
    for bin_images in np.array_split(order, min(N_BINS, max(1, n // 5))):
        residuals, size = correct[bin_images] - confidences[bin_images], len(bin_images)
        gap_variance = float(residuals.var(ddof=1)) / size
        unbiased = float(residuals.mean()) ** 2 - gap_variance
        accuracy = (float(correct[bin_images].sum()) + 1) / (size + 2)
        smoothed = max(gap_variance, accuracy * (1 - accuracy) / size)
        square += size / n * unbiased
        variance += (size / n) ** 2 * (4 * max(0.0, unbiased) * smoothed + 2 * smoothed**2)
    margin = 1.96 * math.sqrt(variance)
    error, low, high = (math.sqrt(min(1.0, max(0.0, value))) for value in (square, square - margin, square + margin))
    return error, (low, high)


def reliability_bins(confidences: NDArray[np.float64], correct: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Return the bins that are not empty, in order of confidence."""
    bins = bin_indices(confidences)
    return tuple(
        ReliabilityBin(
            n=int((bins == number).sum()),
            confidence=float(confidences[bins == number].mean()),
            accuracy=float(correct[bins == number].mean()),
            accuracy_ci95=wilson_interval(int(correct[bins == number].sum()), int((bins == number).sum())),
        )
        for number in np.unique(bins)
    )


def bin_indices(confidences: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin index of each confidence, (n,), 0..14."""
    indices: NDArray[np.int64] = np.digitize(confidences, np.arange(1, N_BINS) / N_BINS, right=True)
    return indices


def bin_sums(residuals: NDArray[np.float64], bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of the residuals, correctness (0 or 1) minus confidence, in each bin, (15,)."""
    return np.bincount(bins, weights=residuals, minlength=N_BINS).astype(np.float64)
