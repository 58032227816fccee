"""Conformal prediction: sets of classes that contain the true class with a stated probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from tinysight._util.formatting import percent

COVERAGE = 0.95  # target of the prediction sets, on average over draws of the validation images
IMAGES_NEEDED = math.ceil(COVERAGE / (1 - COVERAGE) - 1e-9)
"""The smallest number of validation images with which a set can leave out a class: 19."""

_MAX_NAMES = 5  # named in the text of a set

ALL_CLASSES = 0.0  # the threshold of sets of all classes

ProbabilityArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class SetPromise:
    """The coverage that calibrated prediction sets guarantee.

    Attributes:
        n: number of validation images.
    """

    n: int

    @property
    def lower_bound(self) -> float:
        """The coverage, 0..1, that is reached with 95% confidence over draws of the validation images."""
        return coverage_lower_bound(self.n)

    def describe(self) -> str:
        """Return the coverage of the sets, or the reason why they contain all classes, as sentences."""
        images = f"{self.n:,} validation images"
        if self.n < IMAGES_NEEDED:
            return (
                f"Prediction sets contain all classes: {images} are too few to leave any out; at least {IMAGES_NEEDED} "
                "are needed."
            )
        return (
            f"Prediction sets were calibrated on {images}. On average, they contain the true class for "
            f"{percent(COVERAGE)} of new images of the same kind, and for at least {percent(self.lower_bound)} with "
            "95% confidence."
        )


def fit_set_threshold(probabilities: ProbabilityArray, labels: NDArray[np.integer[Any]]) -> float:
    """Return the probability at or above which a class is in the prediction set.

    If these images and a new one are exchangeable, the set of the new image contains its true class with a probability
    of at least 95%. The method is split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic Learning in a
    Random World", 2005) with the sets of Sadinle, Lei and Wasserman, "Least Ambiguous Set-Valued Classifiers with
    Bounded Error Levels" (JASA 114, 2019).

    Args:
        probabilities: (n, classes), of images that were not trained on.
        labels: (n,), the true classes.

    Returns:
        The threshold that the true class reaches in ceil(0.95 (n + 1)) of the images; `ALL_CLASSES` if n is too small.
    """
    n = len(labels)
    if n < IMAGES_NEEDED:
        return ALL_CLASSES
    return float(np.sort(probabilities[np.arange(n), labels])[n - coverage_rank(n)])


def prediction_sets(probabilities: ProbabilityArray, threshold: float) -> NDArray[np.bool_]:
    """Return whether each class is in the prediction set of an image, (n, classes).

    The most probable class is always in the set, so no set is empty. This can only raise the coverage.

    Args:
        probabilities: (n, classes), 0..1.
        threshold: the probability at or above which a class is in the set.
    """
    in_set: NDArray[np.bool_] = probabilities >= threshold
    in_set[np.arange(len(in_set)), probabilities.argmax(1)] = True
    return in_set


def prediction_set(
    probabilities: ProbabilityArray, threshold: float | None, class_names: Sequence[str]
) -> list[str] | None:
    """Return the names of the classes in the prediction set of one image, the most probable first.

    Args:
        probabilities: (classes,), 0..1.
        threshold: as for `prediction_sets`. If it was not calibrated (None), there is no set.
        class_names: in the order of the probabilities.
    """
    if threshold is None:
        return None
    (in_set,) = prediction_sets(probabilities[None], threshold)
    return [class_names[index] for index in np.argsort(-probabilities, kind="stable") if in_set[index]]


def describe_set(names: Sequence[str], num_classes: int) -> str:
    """Return a prediction set as text, with its coverage.

    Return "" if the set adds no information: it has one class, or all classes of a classifier with more than two.

    >>> describe_set(["cat", "dog", "frog"], 10), describe_set(["dog", "cat"], 2), describe_set(["cat"], 2)
    ('cat, dog or frog (95%)', 'dog or cat (95%)', '')
    >>> describe_set(list("abcdefg"), 10)
    'a, b, c, d or 3 more (95%)'
    """
    if len(names) < 2 or len(names) == num_classes > 2:
        return ""
    shown = list(names)
    if len(names) > _MAX_NAMES:
        shown[_MAX_NAMES - 1 :] = [f"{len(names) - _MAX_NAMES + 1:,} more"]
    *first, last = shown
    return f"{', '.join(first)} or {last} ({COVERAGE:.0%})"


def coverage_rank(n: int) -> int:
    """Return how many of `n` validation images a threshold must cover to cover 95% of new images on average."""
    return math.ceil((n + 1) * COVERAGE - 1e-9)


def coverage_lower_bound(n: int) -> float:
    """Return the fraction of new images, 0..1, that a threshold from `n` >= 19 images covers with 95% confidence.

    Over the draws of the validation images, the fraction has a Beta distribution (Vovk, "Conditional validity of
    inductive conformal predictors", Machine Learning 92, 2013).
    """
    return float(betaincinv(coverage_rank(n), n + 1 - coverage_rank(n), 0.05))
