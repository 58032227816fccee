"""A trial: one training of a study, and its stored result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from tinysight.data.dataset import Dataset
from tinysight.errors import TrainingError
from tinysight.memory import enough_memory
from tinysight.progress import SILENT, Progress
from tinysight.recipes.schema import Recipe
from tinysight.training.device import Device
from tinysight.training.fitting import epochs
from tinysight.training.images import Images, cut
from tinysight.training.precision import Precision
from tinysight.training.train import SMALLER
from tinysight.training.trainer import Trainer
from tinysight.tuning.space import Values

Ending = Literal["finished", "pruned", "stopped", "failed"]
State = Literal["waiting", "running", "lost", "finished", "pruned", "stopped", "failed"]


@dataclass(frozen=True)
class Subject:
    """The data and settings that all trials of a study share.

    Attributes:
        dataset: the dataset with an empty test split.
        images: training and validation images, the same for all trials.
        precision: training precision.
        device: training device.
    """

    dataset: Dataset
    images: Images
    precision: Precision
    device: Device

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe, seed: int, precision: Precision, device: Device) -> Subject:
        """Split the images as `train` does and drop the test images. Raises DataError if there are too few."""
        return cls(dataset.without_test(), cut(dataset, recipe.data, seed), precision, device)


@dataclass(frozen=True)
class Outcome:
    """The result of a training.

    Attributes:
        ending: "finished"; "pruned": worse than other trials after as many epochs; "stopped": the deadline or an
            interruption; "failed": see `error`.
        accuracy: validation accuracy of the weights that would be kept, 0..1; 0 if no epoch was finished.
        epochs: number of finished epochs.
        seconds: duration.
        error: why it failed, as a sentence; else empty.
    """

    ending: Ending
    accuracy: float
    epochs: int
    seconds: float
    error: str = ""


def attempt(
    subject: Subject,
    recipe: Recipe,
    seed: int,
    prune: Callable[[int, float], bool],
    stop: Callable[[], bool],
    progress: Progress = SILENT,
) -> Outcome:
    """Train once and return the result; nothing is written.

    Args:
        subject: data and settings of the study.
        recipe: the recipe to train with.
        seed: seed of initialization, order and augmentation.
        prune: called after every epoch with its number and validation accuracy; returns whether to prune.
        stop: called after every step; returns whether to stop.
        progress: started by the caller; counts training images.
    """
    start, finished_epochs, accuracy = time.perf_counter(), 0, 0.0

    def outcome(ending: Ending, error: str = "") -> Outcome:
        return Outcome(ending, accuracy, finished_epochs, time.perf_counter() - start, error)

    try:
        with enough_memory(SMALLER, TrainingError):
            trainer = Trainer(recipe, subject.dataset, subject.images, seed, subject.precision, subject.device)
            for epoch in epochs(trainer, progress, stop):
                finished_epochs, accuracy = epoch.epoch, trainer.val_accuracy or 0.0
                if prune(epoch.epoch, epoch.val_accuracy) and not trainer.done:
                    return outcome("pruned")
            return outcome("finished" if trainer.done else "stopped")
    except TrainingError as error:
        return outcome("failed", str(error))


@dataclass(frozen=True)
class Trial:
    """A trial as stored in the study's journal.

    Attributes:
        number: counted from 0 in order of start; trial 0 of the search is the baseline.
        state: "lost": its process was killed; the others as in `Outcome`.
        values: the tried values, by recipe key; empty for a training with a new seed.
        accuracy: validation accuracy as in `Outcome`, 0..1.
        curve: validation accuracy after each epoch.
        epochs: number of finished epochs.
        seconds: duration.
        error: why it failed, as a sentence; else empty.
        of: number of the trial whose values are trained again with a new seed, or None in the search.
        fresh: number of that seed, from 1; 0 in the search.
        worker: number of the process that runs it.
    """

    number: int
    state: State
    values: Values
    accuracy: float = 0.0
    curve: tuple[float, ...] = ()
    epochs: int = 0
    seconds: float = 0.0
    error: str = ""
    of: int | None = None
    fresh: int = 0
    worker: int | None = field(default=None, repr=False)

    @classmethod
    def read(cls, kept: FrozenTrial) -> Trial:
        """Convert a trial of Optuna."""
        stored: dict[str, Any] = kept.user_attrs
        ending = stored.get("ending", "lost")
        state: State = ending if kept.state.is_finished() else _UNFINISHED[kept.state]
        return cls(
            kept.number,
            state,
            kept.params,
            accuracy=stored.get("accuracy", 0.0),
            curve=tuple(kept.intermediate_values[epoch] for epoch in sorted(kept.intermediate_values)),
            epochs=stored.get("epochs", 0),
            seconds=stored.get("seconds", 0.0),
            error=stored.get("error", ""),
            of=stored.get("of"),
            fresh=stored.get("fresh", 0),
            worker=stored.get("worker"),
        )


_UNFINISHED: dict[TrialState, State] = {TrialState.WAITING: "waiting", TrialState.RUNNING: "running"}


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Return the finished trial with the highest accuracy; the oldest one of equals, or None."""
    finished = [trial for trial in trials if trial.state == "finished"]
    return max(finished, key=lambda trial: trial.accuracy, default=None)
