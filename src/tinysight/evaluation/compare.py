"""Several runs on the same images: which is better, by how much, and where they disagree."""

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
    """Runs side by side.

    Attributes:
        runs: by the names they are called here.
        split: of the images that all were evaluated on.
        labels: int64, (n,), the true classes.
        answers: int64, (n,), by run.
        comparisons: of every two.
    """

    runs: dict[str, Run]
    split: str
    labels: Labels
    answers: dict[str, Labels]
    comparisons: list[Comparison]

    def only_right(self, name: str) -> NDArray[np.int64]:
        """Return the indices of the images that this run alone is right about."""
        others = [self.answers[other] != self.labels for other in self.answers if other != name]
        return np.flatnonzero((self.answers[name] == self.labels) & np.logical_and.reduce(others))


def compare_runs(runs: Sequence[Run]) -> Compared:
    """Compare runs by what `evaluate` found of them.

    Raises:
        InputError: there are fewer than two, or they were not evaluated on the same images.
        RunError: a run was not evaluated, or a file of it is damaged.
    """
    if len(runs) < 2:
        raise InputError("One run has nothing to be compared with; name two or more.")
    named = dict(zip(_names(runs), runs, strict=True))
    _require_same_images(runs)
    said = {name: run.predictions() for name, run in named.items()}
    _, labels = next(iter(said.values()))
    if any(not np.array_equal(labels, others) for _, others in said.values()):
        raise InputError(f"{runs[0].path} and the others were not evaluated on the same images; evaluate them again.")
    answers = {name: probabilities.argmax(1) for name, (probabilities, _) in said.items()}
    split = str(runs[0].metrics()["split"])
    return Compared(named, split, labels, answers, compare({name: one == labels for name, one in answers.items()}))


def _names(runs: Sequence[Run]) -> list[str]:
    """Return the last part of each path, or the whole path where that would be the same."""
    short = [run.path.resolve().name for run in runs]
    return [name if short.count(name) == 1 else str(run.path) for name, run in zip(short, runs, strict=True)]


def _require_same_images(runs: Sequence[Run]) -> None:
    for one, other in combinations(runs, 2):
        if one.path.resolve() == other.path.resolve():
            raise InputError(f"{one.path} is named twice; name different runs.")
        if one.environment().dataset.fingerprint != other.environment().dataset.fingerprint:
            raise InputError(f"{one.path} and {other.path} were made from different images; they cannot be compared.")
        if (a := one.metrics()["split"]) != (b := other.metrics()["split"]):
            raise InputError(f"{one.path} was evaluated on {a} images and {other.path} on {b} images; take the same.")
