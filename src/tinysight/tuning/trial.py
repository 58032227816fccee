"""One training of a study: what it works on, how it goes, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable
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
    """What all trials of a study share; there are no test images in it.

    Attributes:
        dataset: with an empty test part.
        images: what is learned from, and what every trial is held against.
    """

    dataset: Dataset
    images: Images
    precision: Precision
    device: Device

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe, seed: int, precision: Precision, device: Device) -> Subject:
        """Cut the images as `train` does, and leave the test images behind. Raises DataError as `cut` does."""
        return cls(dataset.without_test(), cut(dataset, recipe.data, seed), precision, device)


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        ending: pruned: others were better after as many epochs; stopped: the time was over, or somebody asked.
        accuracy: 0..1, on the validation images, of the weights that would be kept; 0 if no epoch was finished.
        epochs: how many were finished.
        seconds: how long it took.
        error: why it failed, in a sentence; else empty.
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
    """Train once, and keep nothing but how it went.

    Args:
        subject: the images.
        recipe: how to train on them.
        seed: of all that is drawn.
        prune: told after every epoch its number and the validation accuracy; returns whether to give up.
        stop: asked after every step whether to break off.
        progress: started by the caller, advanced by every image learned from.
    """
    start, finished, accuracy = time.perf_counter(), 0, 0.0

    def outcome(ending: Ending, error: str = "") -> Outcome:
        return Outcome(ending, accuracy, finished, time.perf_counter() - start, error)

    try:
        with enough_memory(SMALLER, TrainingError):
            trainer = Trainer(recipe, subject.dataset, subject.images, seed, subject.precision, subject.device)
            for epoch in epochs(trainer, progress, stop):
                finished, accuracy = epoch.epoch, trainer.val_accuracy or 0.0
                if prune(epoch.epoch, epoch.val_accuracy) and not trainer.done:
                    return outcome("pruned")
            return outcome("finished" if trainer.done else "stopped")
    except TrainingError as error:
        return outcome("failed", str(error))


@dataclass(frozen=True)
class Trial:
    """What the study knows of one training.

    Attributes:
        number: counted from 0 in the order of their beginning; trial 0 is the recipe as it was.
        state: lost: its process was killed; the others as in `Outcome`.
        values: what was tried, by key; empty for a training with a fresh seed.
        accuracy: 0..1, validation, as in `Outcome`.
        curve: the validation accuracy after each epoch.
        of: the trial whose values were trained with a fresh seed, or None in the search.
        fresh: the number of that seed, from 1; 0 in the search.
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
        """Return what stands in the journal."""
        told: dict[str, Any] = {key: value for key, value in kept.user_attrs.items() if key != "ending"}
        state: State = kept.user_attrs.get("ending", "lost") if kept.state.is_finished() else _UNFINISHED[kept.state]
        curve = tuple(kept.intermediate_values[epoch] for epoch in sorted(kept.intermediate_values))
        return cls(kept.number, state, kept.params, curve=curve, **told)


_UNFINISHED: dict[TrialState, State] = {TrialState.WAITING: "waiting", TrialState.RUNNING: "running"}
