"""Selective prediction: abstention thresholds and risk-coverage curves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from tinysight._util.formatting import percent

ALWAYS_ABSTAIN = 2.0  # above every confidence: abstains on all images
DELTA = 0.05  # probability that a chosen threshold misses its target error


@dataclass(frozen=True)
class Promise:
    """The error that a threshold was chosen for.

    Attributes:
        target_error: largest allowed selective error, 0..1.
        n: number of validation images.
    """

    target_error: float
    n: int

    def describe(self, threshold: float) -> str:
        """Return what the threshold promises, or why there is none, as sentences."""
        target, images = percent(self.target_error), f"{self.n:,} validation images"
        if threshold <= 1:
            return (
                f"The threshold was chosen on {images} so that at most {target} of the predictions that are not unsure "
                "are wrong (with 95% confidence)."
            )
        if self.n < images_needed(self.target_error):
            return (
                f"All predictions are unsure: no threshold can promise at most {target} wrong predictions with "
                f"{images}; at least {images_needed(self.target_error):,} are needed. Use more images, or set "
                f"training.target_error to {lowest_target(self.n):g} or more."
            )
        return (
            f"All predictions are unsure: on {images}, no threshold keeps at most {target} wrong predictions with 95% "
            "confidence. Train a more accurate classifier, or increase training.target_error."
        )


@dataclass(frozen=True)
class SelectiveResult:
    """An abstention threshold and its results on some images.

    Attributes:
        threshold: confidence below which the classifier abstains, 0..1; above 1 if it always abstains.
        n: number of images.
        n_covered: number of images that get a prediction.
        n_wrong: number of these predictions that are wrong.
    """

    threshold: float
    n: int
    n_covered: int
    n_wrong: int

    @property
    def coverage(self) -> float:
        """Fraction of the images that get a prediction."""
        return self.n_covered / self.n

    @property
    def error(self) -> float:
        """Fraction of these predictions that are wrong; 0 if there are none."""
        return self.n_wrong / max(self.n_covered, 1)


def images_needed(target_error: float, delta: float = DELTA) -> int:
    """Return the smallest number of images, all predicted correctly, that show an error of at most `target_error`.

    >>> images_needed(0.05), images_needed(0.01)
    (59, 299)
    """
    return max(1, math.ceil(math.log(delta) / math.log1p(-target_error) - 1e-9))


def lowest_target(n: int) -> float:
    """Return the smallest target error, rounded up to two digits, that `n` images can show.

    >>> lowest_target(24), lowest_target(59)
    (0.12, 0.05)
    """
    exact = -math.expm1(math.log(DELTA) / n)
    scale = 10.0 ** (1 - math.floor(math.log10(exact)))
    return float(min(0.99, round(math.ceil(exact * scale - 1e-9) / scale, 12)))


def choose_threshold(
    confidences: NDArray[np.floating], correct: NDArray[np.bool_], target_error: float
) -> SelectiveResult:
    """Return the lowest threshold whose selective error is shown to be at most `target_error`.

    With a probability of at least 95% over the draw of these images, the error on other images of the same kind is at
    most `target_error`, if the error does not fall as the threshold falls. The method is fixed-sequence testing:
    Angelopoulos et al., "Learn then Test" (The Annals of Applied Statistics 19, 2025). From a start, the threshold is
    lowered image by image while the exact binomial test rejects an error above the target. There are several starts,
    each with twice as many images as the last one, since a single mistake with high confidence ends the first; they
    share the 5% equally. See docs/adr/0096-promise-the-target-error.md.

    Args:
        confidences: (n,), probability of the predicted class, 0..1.
        correct: (n,), whether the predicted class is correct.
        target_error: the largest allowed selective error, between 0 and 1.

    Returns:
        The threshold, which is `ALWAYS_ABSTAIN` if no error is shown to be so small, and its results on these images.
    """
    n = len(confidences)
    thresholds, coverage, error = risk_coverage(confidences, correct)
    n_covered = np.rint(coverage * n).astype(np.int64)
    n_wrong = np.rint(error * n_covered).astype(np.int64)
    starts = _starts(n, target_error)
    passes = bdtr(n_wrong, n_covered, target_error) <= DELTA / max(len(starts), 1)
    stops = np.append(np.flatnonzero(~passes), len(passes))  # where a sequence ends, at the latest
    firsts = np.searchsorted(n_covered, starts)
    lasts = stops[np.searchsorted(stops, firsts)] - 1
    reached = lasts[lasts >= firsts]
    if not len(reached):
        return SelectiveResult(ALWAYS_ABSTAIN, n, 0, 0)
    end = reached.max()
    return SelectiveResult(float(thresholds[end]), n, int(n_covered[end]), int(n_wrong[end]))


def _starts(n: int, target_error: float) -> list[int]:
    """Return the numbers of images with which the sequences of tests start; none if n is too small for a test."""
    count = 0
    while images_needed(target_error, DELTA / (count + 1)) * 2**count <= n:
        count += 1
    return [images_needed(target_error, DELTA / count) * 2**power for power in range(count)]


def apply_threshold(confidences: NDArray[np.floating], correct: NDArray[np.bool_], threshold: float) -> SelectiveResult:
    """Return the results of a given threshold on these images."""
    accepted = confidences >= threshold
    return SelectiveResult(threshold, len(correct), int(accepted.sum()), int((accepted & ~correct).sum()))


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
