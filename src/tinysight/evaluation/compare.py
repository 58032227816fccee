"""Comparison of runs that were evaluated on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Labels
from tinysight.errors import InputError
from tinysight.evaluation.comparison import compare
from tinysight.runs.findings import Comparison
from tinysight.runs.run import Run


@dataclass(frozen=True)
class Compared:
    """Predictions of several runs on the same images, and their pairwise comparisons.

    Attributes:
        runs: by short name.
        split: the split that all runs were evaluated on.
        labels: int64, (n,), the true classes.
        predictions: int64, (n,), the predicted classes, by run.
        comparisons: one for each pair of runs.
    """

    runs: dict[str, Run]
    split: str
    labels: Labels
    answers: dict[str, Labels]
    comparisons: list[Comparison]

    def only_right(self, name: str) -> NDArray[np.int64]:
        """Return the indices of the images that only this run predicts correctly."""
        others_wrong = [self.answers[other] != self.labels for other in self.answers if other != name]
        return np.flatnonzero((self.answers[name] == self.labels) & np.logical_and.reduce(others_wrong))


def compare_runs(runs: Sequence[Run]) -> Compared:
    """Compare the evaluated predictions of two or more runs.

    Raises:
        InputError: there are fewer than two runs, or they were not evaluated on the same images.
        RunError: a run was not evaluated, or one of its files is damaged.
    """
    if len(runs) < 2:
        raise InputError("compare: needs at least two runs. Name another run.")
    named = dict(zip(_short_names(runs), runs, strict=True))
    _check_same_images(runs)
    predictions = {name: run.predictions() for name, run in named.items()}
    _, labels = next(iter(predictions.values()))
    if any(not np.array_equal(labels, other_labels) for _, other_labels in predictions.values()):
        raise InputError(
            f"{runs[0].path}: not evaluated on the same images as the other runs. Evaluate all runs again."
        )
    answers = {name: probabilities.argmax(1) for name, (probabilities, _) in predictions.items()}
    split = str(runs[0].metrics()["split"])
    comparisons = compare({name: predicted == labels for name, predicted in answers.items()})
    return Compared(named, split, labels, answers, comparisons)


def _short_names(runs: Sequence[Run]) -> list[str]:
    """Return the last part of each path, or the whole path if two runs share the last part."""
    short = [run.path.resolve().name for run in runs]
    return [name if short.count(name) == 1 else str(run.path) for name, run in zip(short, runs, strict=True)]


def _check_same_images(runs: Sequence[Run]) -> None:
    for first, second in combinations(runs, 2):
        if first.path.resolve() == second.path.resolve():
            raise InputError(f"{first.path}: named twice. Name different runs.")
        if first.environment().dataset.fingerprint != second.environment().dataset.fingerprint:
            raise InputError(
                f"{first.path}: trained on another dataset than {second.path}. Compare runs of one dataset."
            )
        if (a := first.metrics()["split"]) != (b := second.metrics()["split"]):
            raise InputError(
                f"{first.path}: evaluated on the {a} split, but {second.path} on the {b} split. "
                "Evaluate both on the same split."
            )
