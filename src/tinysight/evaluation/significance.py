"""Paired significance tests and intervals for classifiers on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from tinysight._util.errors import InputError
from tinysight.data.dataset import Labels
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.models.scores import is_correct
from tinysight.runs.audit_results import PairedComparison
from tinysight.runs.run import Run

CorrectMask = NDArray[np.bool_]
"""(n,): whether the prediction for each image is correct."""


def compare_classifiers(correct: dict[str, CorrectMask]) -> list[PairedComparison]:
    """Compare every pair of classifiers with the exact McNemar test and Holm's correction.

    Sources: McNemar, "Note on the sampling error of the difference between correlated proportions" (Psychometrika 12,
    1947); Holm, "A simple sequentially rejective multiple test procedure" (Scandinavian Journal of Statistics 6, 1979).

    Args:
        correct: by name of the classifier.
    """
    pairs = list(combinations(correct, 2))
    p_values = [mcnemar(correct[first], correct[second]) for first, second in pairs]
    return [
        _comparison(first, second, correct[first], correct[second], p, p_corrected)
        for (first, second), p, p_corrected in zip(pairs, p_values, holm_correction(p_values), strict=True)
    ]


def mcnemar(first: CorrectMask, second: CorrectMask) -> float:
    """Return the two-sided p-value of the exact McNemar test."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def holm_correction(p_values: list[float]) -> list[float]:
    """Return the p-values with Holm's correction, in the order given."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def difference_interval(first: CorrectMask, second: CorrectMask) -> tuple[float, float]:
    """Return the 95% interval of the difference of two accuracies on the same images.

    It combines the Wilson intervals of both accuracies with their correlation: method 10 of Newcombe, "Improved
    confidence intervals for the difference between binomial proportions based on paired data" (Statistics in
    Medicine 17, 1998).
    """
    n = len(first)
    p, q = float(first.mean()), float(second.mean())
    (p_low, p_high), (q_low, q_high) = (wilson_interval(int(hits.sum()), n) for hits in (first, second))
    phi = _correlation(first, second)
    below = math.hypot(p - p_low, q_high - q) ** 2 - 2 * phi * (p - p_low) * (q_high - q)
    above = math.hypot(q - q_low, p_high - p) ** 2 - 2 * phi * (q - q_low) * (p_high - p)
    return p - q - math.sqrt(max(0.0, below)), p - q + math.sqrt(max(0.0, above))


def _comparison(
    first_name: str, second_name: str, first: CorrectMask, second: CorrectMask, p: float, p_corrected: float
) -> PairedComparison:
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    difference = (only_first - only_second) / len(first)
    interval = difference_interval(first, second)
    return PairedComparison(first_name, second_name, only_first, only_second, difference, interval, p, p_corrected)


def _correlation(first: CorrectMask, second: CorrectMask) -> float:
    """Return the continuity-corrected phi coefficient of two classifiers' correct predictions, -1..1."""
    both, only_first = int((first & second).sum()), int((first & ~second).sum())
    only_second, none = int((second & ~first).sum()), int((~first & ~second).sum())
    scale = (both + only_first) * (only_second + none) * (both + only_second) * (only_first + none)
    if not scale:
        return 0.0
    excess = both * none - only_first * only_second
    if excess > 0:  # only positive correlations are corrected
        return max(0.0, excess - len(first) / 2) / math.sqrt(scale)
    return excess / math.sqrt(scale)


@dataclass(frozen=True)
class RunComparison:
    """Predictions of several runs on the same images, and their pairwise comparisons.

    Attributes:
        runs: by short name.
        split: the split that all runs were evaluated on.
        labels: int64, (n,), the true classes; or (n, labels), of images that may have several labels.
        predictions: the predicted classes or labels, by run, of the same shape.
        comparisons: one for each pair of runs.
    """

    runs: dict[str, Run]
    split: str
    labels: Labels
    predictions: dict[str, Labels]
    comparisons: list[PairedComparison]

    @property
    def measure(self) -> Literal["accuracy", "exact match"]:
        """What is compared: the accuracy, or the share of the images whose labels are all correct."""
        return "accuracy" if self.labels.ndim == 1 else "exact match"

    def only_correct(self, name: str) -> NDArray[np.int64]:
        """Return the indices of the images that only this run predicts correctly."""
        correct = {run: is_correct(predictions, self.labels) for run, predictions in self.predictions.items()}
        return np.flatnonzero(correct[name] & (np.sum(list(correct.values()), axis=0) == 1))


def compare_runs(runs: Sequence[Run]) -> RunComparison:
    """Compare the evaluated predictions of two or more runs.

    An image that may have several labels is predicted correctly if all of its labels are.

    Raises:
        InputError: there are fewer than two runs, or they were not evaluated on the same images.
        RunError: a run was not evaluated, or one of its files is damaged.
    """
    if len(runs) < 2:
        raise InputError("compare: needs at least two runs. Pass another run.")
    named = dict(zip(_short_names(runs), runs, strict=True))
    _check_same_images(runs)
    labels, *others = (run.predictions()[1] for run in runs)
    if any(not np.array_equal(labels, other_labels) for other_labels in others):
        raise InputError(
            f"{runs[0].path}: not evaluated on the same images as the other runs. Evaluate all runs again."
        )
    answers = {name: run.predicted_labels() for name, run in named.items()}
    split = runs[0].metrics().split
    comparisons = compare_classifiers({name: is_correct(predicted, labels) for name, predicted in answers.items()})
    return RunComparison(named, split, labels, answers, comparisons)


def _short_names(runs: Sequence[Run]) -> list[str]:
    """Return the last part of each path, or the whole path if two runs share the last part."""
    short = [run.path.resolve().name for run in runs]
    return [name if short.count(name) == 1 else str(run.path) for name, run in zip(short, runs, strict=True)]


def _check_same_images(runs: Sequence[Run]) -> None:
    for first, second in combinations(runs, 2):
        if first.path.resolve() == second.path.resolve():
            raise InputError(f"{first.path}: passed twice. Pass different runs.")
        if first.environment().dataset.fingerprint != second.environment().dataset.fingerprint:
            raise InputError(
                f"{first.path}: trained on a different dataset than {second.path}. Compare runs of one dataset."
            )
        if (a := first.metrics().split) != (b := second.metrics().split):
            raise InputError(
                f"{first.path}: evaluated on the {a} split, but {second.path} on the {b} split. "
                "Evaluate both on the same split."
            )
