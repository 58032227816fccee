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

COVERAGE = 0.95  # of the prediction sets, on average over draws of the validation images
IMAGES_NEEDED = math.ceil(COVERAGE / (1 - COVERAGE) - 1e-9)
"""The smallest number of validation images with which a set can leave out a class: 19."""

_MAX_NAMES = 5  # in a text

ALL_CLASSES = 0.0  # the threshold of sets of all classes

ProbabilityArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class SetPromise:
    """The coverage that prediction sets were calibrated for.

    Attributes:
        n: number of validation images.
    """

    n: int

    @property
    def lower_bound(self) -> float:
        """The coverage that 95% of draws of the validation images exceed, 0..1."""
        return coverage_lower_bound(self.n)

    def describe(self) -> str:
        """Return what the sets promise, or why they contain all classes, as sentences."""
        images = f"{self.n:,} validation images"
        if self.n < IMAGES_NEEDED:
            return (
                f"Prediction sets contain all classes: {images} are too few to leave any out; at least {IMAGES_NEEDED} "
                "are needed."
            )
        return (
            f"Prediction sets were calibrated on {images}: of other images of the same kind, they contain the true "
            f"class of {percent(COVERAGE)} on average, and of at least {percent(self.lower_bound)} with 95% confidence."
        )


def fit_set_threshold(probabilities: ProbabilityArray, labels: NDArray[np.integer[Any]]) -> float:
    """Return the probability from which a class is in the prediction set.

    If these images and a new one are exchangeable, the set of the new image contains its true class with a probability
    of at least 95%. The method is split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic Learning in a
    Random World", 2005) with the sets of Sadinle, Lei and Wasserman, "Least Ambiguous Set-Valued Classifiers with
    Bounded Error Levels" (JASA 114, 2019).

    Args:
        probabilities: (n, classes), of images that were not trained on.
        labels: (n,), the true classes.

    Returns:
        The probability of the true class that ceil(0.95 (n + 1)) of the images reach; `ALL_CLASSES` if n is too small.
    """
    n = len(labels)
    if n < IMAGES_NEEDED:
        return ALL_CLASSES
    return float(np.sort(probabilities[np.arange(n), labels])[n - coverage_rank(n)])


def prediction_sets(probabilities: ProbabilityArray, threshold: float) -> NDArray[np.bool_]:
    """Return whether each class is in the prediction set of an image, (n, classes).

    The most probable class always is, so that no set is empty; this can only raise the coverage.

    Args:
        probabilities: (n, classes), 0..1.
        threshold: the probability from which a class is in the set.
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
        threshold: as for `prediction_sets`; None if it was not calibrated, then there is no set.
        class_names: in the order of the probabilities.
    """
    if threshold is None:
        return None
    (in_set,) = prediction_sets(probabilities[None], threshold)
    return [class_names[index] for index in np.argsort(-probabilities, kind="stable") if in_set[index]]


def describe_set(names: Sequence[str], num_classes: int) -> str:
    """Return a prediction set as text, with its coverage.

    Return "" if it says no more than the most probable class does: if it has a single class, or all of more than two.

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
    """Return how many of `n` validation images a threshold must cover, so that it covers 95% of other images."""
    return math.ceil((n + 1) * COVERAGE - 1e-9)


def coverage_lower_bound(n: int) -> float:
    """Return the share of other images, 0..1, that a threshold covers in at least 95% of draws of `n` >= 19 images.

    The share has a Beta distribution over the draws (Vovk, "Conditional validity of inductive conformal predictors",
    Machine Learning 92, 2013).
    """
    return float(betaincinv(coverage_rank(n), n + 1 - coverage_rank(n), 0.05))
