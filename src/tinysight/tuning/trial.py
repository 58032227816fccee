"""A trial: one training run of a study, and its stored result."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from tinysight._util.allocator import translate_oom
from tinysight._util.errors import TrainingError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset
from tinysight.data.splits import TrainSplit, split_dataset
from tinysight.recipes.schema import Recipe
from tinysight.training.device import Device
from tinysight.training.methods import build_trainer
from tinysight.training.precision import Precision
from tinysight.training.session import OOM_ADVICE
from tinysight.training.trainer import train_epochs
from tinysight.tuning.space import RecipeValues

TrialEnding = Literal["finished", "pruned", "stopped", "failed"]
TrialStatus = Literal["waiting", "running", "lost", "finished", "pruned", "stopped", "failed"]


@dataclass(frozen=True)
class TrialContext:
    """The data and settings that all trials of a study share.

    Attributes:
        dataset: the dataset with an empty test split.
        split: training and validation images, the same for all trials.
        precision: training precision.
        device: training device.
    """

    dataset: Dataset
    split: TrainSplit
    precision: Precision
    device: Device

    @classmethod
    def create(cls, dataset: Dataset, recipe: Recipe, seed: int, precision: Precision, device: Device) -> TrialContext:
        """Split the images as `train` does and drop the test images. Raises DataError if there are too few."""
        return cls(dataset.without_test(), split_dataset(dataset, recipe.data, seed), precision, device)


@dataclass(frozen=True)
class TrialResult:
    """The result of a training run.

    Attributes:
        ending: "finished"; "pruned": worse than other trials after as many epochs; "stopped": the deadline or an
            interruption; "failed": see `error`.
        score: validation accuracy of the weights that would be kept, 0..1; 0 if no epoch was finished. With several
            labels per image, the mean average precision.
        epochs: number of finished epochs.
        seconds: duration.
        error: why it failed, as a sentence; else empty.
    """

    ending: TrialEnding
    score: float
    epochs: int
    seconds: float
    error: str = ""


def train_trial(
    context: TrialContext,
    recipe: Recipe,
    seed: int,
    prune: Callable[[int, float], bool],
    stop: Callable[[], bool],
    progress: Progress = SILENT,
) -> TrialResult:
    """Train once and return the result; nothing is written.

    Args:
        context: data and settings of the study.
        recipe: the recipe to train with.
        seed: seed of initialization, order and augmentation.
        prune: called after every epoch with its number and score; returns whether to prune.
        stop: called after every step; returns whether to stop.
        progress: started by the caller; counts training images.
    """
    start, finished_epochs, score = time.perf_counter(), 0, 0.0

    def result(ending: TrialEnding, error: str = "") -> TrialResult:
        return TrialResult(ending, score, finished_epochs, time.perf_counter() - start, error)

    try:
        with translate_oom(OOM_ADVICE, TrainingError):
            trainer = build_trainer(recipe, context.dataset, context.split, seed, context.precision, context.device)
            for epoch in train_epochs(trainer, progress, stop):
                finished_epochs, score = epoch.epoch, trainer.val_score or 0.0
                if prune(epoch.epoch, epoch.val_score) and not trainer.done:
                    return result("pruned")
            return result("finished" if trainer.done else "stopped")
    except TrainingError as error:
        return result("failed", str(error))


@dataclass(frozen=True)
class Trial:
    """A trial as stored in the study's journal.

    Attributes:
        number: counted from 0 in order of start; trial 0 of the search is the baseline.
        state: "lost": its process was killed; the others as in `TrialResult`.
        values: the tried values, by recipe key; empty for a training run with a new seed.
        score: validation score as in `TrialResult`, 0..1.
        curve: validation score after each epoch.
        epochs: number of finished epochs.
        seconds: duration.
        error: why it failed, as a sentence; else empty.
        reseed_of: number of the trial whose values are trained again with a new seed, or None in the search.
        reseed_number: number of that seed, from 1; 0 in the search.
        worker: number of the process that runs it.
    """

    number: int
    state: TrialStatus
    values: RecipeValues
    score: float = 0.0
    curve: tuple[float, ...] = ()
    epochs: int = 0
    seconds: float = 0.0
    error: str = ""
    reseed_of: int | None = None
    reseed_number: int = 0
    worker: int | None = field(default=None, repr=False)

    @classmethod
    def from_optuna(cls, frozen: FrozenTrial) -> Trial:
        """Convert a trial of Optuna."""
        stored: dict[str, Any] = frozen.user_attrs
        ending = stored.get("ending", "lost")
        if frozen.state == TrialState.FAIL and ending != "failed":
            ending = "lost"  # its process died while it stored the result
        state: TrialStatus = ending if frozen.state.is_finished() else _UNFINISHED[frozen.state]
        return cls(
            frozen.number,
            state,
            frozen.params,
            score=stored.get("score", 0.0),
            curve=tuple(frozen.intermediate_values[epoch] for epoch in sorted(frozen.intermediate_values)),
            epochs=stored.get("epochs", 0),
            seconds=stored.get("seconds", 0.0),
            error=stored.get("error", ""),
            reseed_of=stored.get("of"),
            reseed_number=stored.get("fresh", 0),
            worker=stored.get("worker"),
        )


_UNFINISHED: dict[TrialState, TrialStatus] = {TrialState.WAITING: "waiting", TrialState.RUNNING: "running"}


def best_trial(trials: Iterable[Trial]) -> Trial | None:
    """Return the finished trial with the highest score; the oldest one of equals, or None."""
    finished = [trial for trial in trials if trial.state == "finished"]
    return max(finished, key=lambda trial: trial.score, default=None)


@dataclass(frozen=True)
class TrialTask:
    """One training to run.

    Attributes:
        optuna_trial: Optuna's trial, which stores the result.
        values: the recipe values to train with.
        seed: the training seed.
        reseed_of: number of the trial whose values are trained again, or None in the search.
        reseed_number: number of the new seed, from 1; 0 in the search.
    """

    optuna_trial: optuna.Trial
    values: RecipeValues
    seed: int
    reseed_of: int | None = None
    reseed_number: int = 0

    @property
    def name(self) -> str:
        """The name for display."""
        return (
            f"trial {self.optuna_trial.number}"
            if self.reseed_of is None
            else f"trial {self.reseed_of}, new seed {self.reseed_number}"
        )

    def report(self, epoch: int, score: float) -> bool:
        """Store the validation score after an epoch; return whether to prune the trial."""
        self.optuna_trial.report(score, epoch)
        return self.optuna_trial.should_prune()

    def finish(self, result: TrialResult) -> None:
        """Store the result."""
        for key, value in asdict(result).items():
            self.optuna_trial.set_user_attr(key, value)
        study = self.optuna_trial.study
        if result.ending == "finished":
            study.tell(self.optuna_trial, result.score)
        else:
            study.tell(self.optuna_trial, state=TrialState.FAIL if result.ending == "failed" else TrialState.PRUNED)


ScorePairs = tuple[tuple[float, float], ...]
"""Validation scores (baseline, challenger), 0..1, one pair per seed."""

MIN_PAIRS = 3  # pairs; without a mean gain in these, a challenger is rejected


def score_pairs(baseline: Trial, trial: Trial, reseeded: Sequence[Trial]) -> ScorePairs:
    """Return the scores of baseline and trial for each new seed that both were trained with.

    A diverged training counts as a score of 0; leaving it out would favor its recipe.
    """
    scores = {
        (training.reseed_of, training.reseed_number): training.score if training.state == "finished" else 0.0
        for training in reseeded
        if training.state in ("finished", "failed")
    }
    seeds = sorted({seed for number, seed in scores if number == trial.number})
    return tuple(
        (scores[baseline.number, seed], scores[trial.number, seed])
        for seed in seeds
        if (baseline.number, seed) in scores
    )


def gains(pairs: ScorePairs) -> list[float]:
    """Return the challenger's score minus the baseline's, for each seed."""
    return [challenger - baseline for baseline, challenger in pairs]


def is_rejected(pairs: ScorePairs) -> bool:
    """Return whether a challenger has enough pairs and no mean gain."""
    return len(pairs) >= MIN_PAIRS and statistics.mean(gains(pairs)) <= 0
