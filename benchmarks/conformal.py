"""Coverage of prediction sets, and the promise of "unsure", on CIFAR-10.

    python benchmarks/conformal.py [--recipe fast-73] [--seeds 2] [--draws 20]

Trains runs, which choose temperature, epoch and thresholds on their validation images, and stores their probabilities
on the validation and test images. Then measures, on the 10,000 test images:

- the thresholds of the runs themselves;
- thresholds calibrated on random halves of the test images, and measured on the other halves. These images chose
  nothing, so the difference to the line above is the optimism of the validation images;
- other ways to form sets: adaptive prediction sets (APS: Romano, Sesia and Candes 2020, without randomization), and one
  threshold for each class (Sadinle, Lei and Wasserman 2019).

Appends to benchmarks/results/conformal.jsonl.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import append, stamp
from numpy.typing import NDArray

from tinysight.data.load import load
from tinysight.data.splits import split_dataset
from tinysight.models.conformal import COVERAGE, fit_set_threshold, prediction_sets
from tinysight.models.selective import choose_threshold
from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.training.request import TrainConfig
from tinysight.training.session import Session

Probabilities = NDArray[np.float32]
Labels = NDArray[np.int64]
Sets = NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """Probabilities (n, classes) and labels of some images."""

    probabilities: Probabilities
    labels: Labels

    def __getitem__(self, rows: NDArray[np.int64]) -> Predictions:
        return Predictions(self.probabilities[rows], self.labels[rows])


@dataclass(frozen=True)
class TrainedRun:
    """What a run predicts for its validation and test images, and the thresholds that it chose."""

    validation: Predictions
    test: Predictions
    abstain_below: float
    target_error: float


def thr(calibration: Predictions, images: Probabilities) -> Sets:
    """Return the sets of tinysight: one threshold for the probabilities of all classes."""
    return prediction_sets(images, fit_set_threshold(calibration.probabilities, calibration.labels))


def thr_by_class(calibration: Predictions, images: Probabilities) -> Sets:
    """Return sets with one threshold for each class."""
    sets = np.zeros(images.shape, dtype=bool)
    for label in range(images.shape[1]):
        own = calibration[np.flatnonzero(calibration.labels == label)]
        sets[:, label] = images[:, label] >= fit_set_threshold(own.probabilities, own.labels)
    sets[np.arange(len(sets)), images.argmax(1)] = True
    return sets


def aps(calibration: Predictions, images: Probabilities) -> Sets:
    """Return adaptive prediction sets: the most probable classes, until their probabilities exceed a sum."""
    n = len(calibration.labels)
    scores = _sums_before(calibration.probabilities)[np.arange(n), calibration.labels]
    sets: Sets = _sums_before(images) <= np.sort(scores)[math.ceil((n + 1) * COVERAGE) - 1]
    return sets


def _sums_before(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return, for each class, the sum of the probabilities of all more probable classes."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, 1).astype(np.float64)
    sums = np.empty(probabilities.shape)
    np.put_along_axis(sums, order, np.cumsum(ranked, 1) - ranked, 1)
    return sums


METHODS: dict[str, Callable[[Predictions, Probabilities], Sets]] = {
    "one threshold": thr,
    "one threshold per class": thr_by_class,
    "APS": aps,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="fast-73")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--draws", type=int, default=20, help="random halves of the test images for each run")
    arguments = parser.parse_args()
    runs = [train(arguments.recipe, seed) for seed in range(arguments.seeds)]
    for name, method in METHODS.items():
        own = [measure(method(run.validation, run.test.probabilities), run.test.labels) for run in runs]
        drawn = [
            measure(method(calibration, rest.probabilities), rest.labels)
            for run in runs
            for calibration, rest in halves(run.test, len(run.validation.labels), arguments.draws)
        ]
        report(f"prediction sets of 95%, {name}", arguments, own, drawn)
    own = [selective(run.test, run.abstain_below) for run in runs]
    drawn = [
        selective(rest, choose(calibration, run.target_error))
        for run in runs
        for calibration, rest in halves(run.test, len(run.validation.labels), arguments.draws)
    ]
    report("unsure: error of the other predictions", arguments, own, drawn)


def report(
    claim: str, arguments: argparse.Namespace, own: list[dict[str, float]], drawn: list[dict[str, float]]
) -> None:
    """Append and print a row."""
    row = {
        "claim": f"`{arguments.recipe}`: {claim}",
        "ours": describe(own),
        "peer": f"calibrated on test images, {arguments.draws} draws for each run: {describe(drawn)}",
        "ratio": "",
        "n": arguments.seeds,
        "validation": own,
        "test": drawn,
    }
    print(json.dumps(append("conformal", {**row, **stamp()})), flush=True)


def train(recipe_name: str, seed: int) -> TrainedRun:
    """Train a run and return its predictions."""
    recipe, dataset = loading.load_recipe(recipe_name), load("cifar10")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        Session(TrainConfig(recipe, dataset, "cifar10", path, seed=seed)).run()
        classifier = Run(path).classifier()
    validation = split_dataset(dataset, recipe.data, seed).validation
    spec = classifier.spec
    return TrainedRun(
        Predictions(classifier.probabilities(validation.pixels), validation.labels),
        Predictions(classifier.probabilities(dataset.test.pixels), dataset.test.labels),
        spec.abstain_below,
        spec.target_error or 0.05,
    )


def halves(test: Predictions, n_calibration: int, draws: int) -> list[tuple[Predictions, Predictions]]:
    """Return random draws of as many test images as there are validation images, each with the rest."""
    random = np.random.default_rng(0)
    orders = [random.permutation(len(test.labels)) for _ in range(draws)]
    return [(test[order[:n_calibration]], test[order[n_calibration:]]) for order in orders]


def measure(sets: Sets, labels: Labels) -> dict[str, float]:
    """Return coverage, lowest and highest coverage of a class, and mean size."""
    covered = sets[np.arange(len(labels)), labels]
    by_class = [covered[labels == label].mean() for label in range(sets.shape[1])]
    return _rounded(
        {
            "coverage": covered.mean(),
            "of the lowest class": min(by_class),
            "of the highest": max(by_class),
            "mean size": sets.sum(1).mean(),
        }
    )


def _rounded(figures: dict[str, Any]) -> dict[str, float]:
    return {key: round(float(value), 4) for key, value in figures.items()}


def choose(calibration: Predictions, target_error: float) -> float:
    """Return the threshold for "unsure" that these images give."""
    confidences = calibration.probabilities.max(1)
    return choose_threshold(
        confidences, calibration.probabilities.argmax(1) == calibration.labels, target_error
    ).threshold


def selective(images: Predictions, threshold: float) -> dict[str, float]:
    """Return the coverage and the error of the predictions that are not unsure."""
    answered = images.probabilities.max(1) >= threshold
    wrong = images.probabilities.argmax(1) != images.labels
    return _rounded({"coverage": answered.mean(), "error": wrong[answered].mean()})


def describe(rows: Sequence[dict[str, float]]) -> str:
    """Return the mean and the standard deviation of each figure."""
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return ", ".join(
        f"{key} {statistics.mean(values):.3f} (SD {statistics.stdev(values):.3f})" for key, values in columns.items()
    )


if __name__ == "__main__":
    main()
