"""Setup of a study: check the request, measure the speed, fix the trial length."""

from __future__ import annotations

import datetime
import math
import time
from dataclasses import dataclass
from pathlib import Path

from tinysight.data.dataset import Dataset
from tinysight.errors import InputError, RunError, TrainingError
from tinysight.progress import SILENT, Progress
from tinysight.recipes.schema import SECTIONS, Recipe
from tinysight.training import device as devices
from tinysight.training import precision as precisions
from tinysight.training.fitting import epochs
from tinysight.training.planning import LOOK
from tinysight.training.trainer import Position, Trainer
from tinysight.tuning.record import StudyRecord
from tinysight.tuning.space import value_of
from tinysight.tuning.study import Study
from tinysight.tuning.trial import Subject
from tinysight.tuning.work import SEARCHING, Hours

TRIALS = 12  # unpruned trials that should fit into the search; determines their epochs
FEWEST = 4  # minimum number of trainings in a study
_PROBE_SECONDS = 1.0  # of training, to measure the speed


@dataclass(frozen=True)
class Order:
    """Settings of a search.

    Attributes:
        recipe: the recipe to start from.
        argument: the dataset, as given by `--data`; directories as absolute paths.
        seed: seed of the split, the trials and the search.
        precision: requested precision.
        device: requested device.
        data_dir: directory of CIFAR-10, or None for the default.
        skip_bad: whether to skip unreadable images.
    """

    recipe: Recipe
    argument: str
    seed: int = 0
    precision: precisions.Asked = "auto"
    device: devices.Asked = "auto"
    data_dir: Path | None = None
    skip_bad: bool = False


def require_tunable(recipe: Recipe) -> None:
    """Raise InputError unless the recipe fixes its network and its number of epochs."""
    if recipe.model.is_open or recipe.training.minutes is not None:
        raise InputError(
            f"{recipe.name}: its trainings depend on a time budget and cannot be compared. Tune a recipe with a "
            "fixed network and number of epochs, such as fast-85."
        )


def require_free_or_same(path: Path, order: Order) -> None:
    """Raise RunError if `path` exists and is not the requested study."""
    if Study.is_at(path):
        require_same(Study.open(path), order)
    else:
        Study.require_free(path)


def require_same(study: Study, order: Order) -> None:
    """Raise RunError if the study has other settings than `order`; images are not compared."""
    record = study.record
    settings = {"seed": (record.seed, order.seed)} | _paired_values(record.recipe, order.recipe)
    if order.precision != "auto":
        settings["precision"] = (record.precision, order.precision)
    for name, (existing, requested) in settings.items():
        if existing != requested:
            raise RunError(
                f"{study.path}: is a study with other settings ({name}: {existing} there, {requested} requested). "
                "Use the same settings or choose another output directory."
            )


def require_same_images(study: Study, dataset: Dataset) -> None:
    """Raise RunError if the study has other images than `dataset`, whose test split must be empty."""
    if study.record.fingerprint != dataset.fingerprint:
        raise RunError(
            f"{study.path}: is a study of other images than {dataset.name}. Choose another output directory."
        )


def begin(
    path: Path, order: Order, dataset: Dataset, hours: Hours, workers: int = 1, progress: Progress = SILENT
) -> Study:
    """Create a study at `path`; shorten its trials so that about a dozen fit into the time.

    Raises:
        TrainingError: the time is too short.
        InputError: the requested device or precision is not available.
    """
    device = devices.choose(order.device)
    precision = precisions.choose(order.precision, order.recipe, device, progress)
    subject = Subject.of(dataset, order.recipe, order.seed, precision, device)
    epoch = epoch_seconds(subject, order.recipe, order.seed)
    trial_epochs = _trial_epochs(order.recipe, epoch / workers, hours)
    if trial_epochs < order.recipe.training.epochs:
        progress.note(_shortened_notice(order.recipe, trial_epochs, epoch / workers))
    record = StudyRecord(
        recipe=order.recipe,
        epochs=trial_epochs,
        trial_seconds=trial_epochs * epoch,
        argument=order.argument,
        skip_bad=order.skip_bad,
        fingerprint=subject.dataset.fingerprint,
        seed=order.seed,
        precision=precision,
        device=device,
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    )
    return Study.begin(path, record)


def epoch_seconds(subject: Subject, recipe: Recipe, seed: int) -> float:
    """Measure the seconds of an epoch, including validation, by training for about a second."""
    trainer = Trainer(recipe, subject.dataset, subject.images, seed, subject.precision, subject.device)
    trainer.step()
    trainer.position = Position()  # excludes the first step, which includes one-time setup
    start = time.perf_counter()
    state = next(epochs(trainer, stop=lambda: time.perf_counter() - start > _PROBE_SECONDS), None)
    images_per_second = state.images_per_second if state else trainer.position.seen / trainer.position.seconds
    return (trainer.feed.images_an_epoch + LOOK * len(subject.images.validation)) / images_per_second


def _trial_epochs(recipe: Recipe, epoch: float, hours: Hours) -> int:
    """Return the number of epochs of a trial.

    Args:
        recipe: the recipe; its epochs are the maximum.
        epoch: seconds per epoch, divided by the number of processes.
        hours: start and deadline.

    Raises:
        TrainingError: the time is too short for four trials of one epoch.
    """
    remaining = hours.end - time.perf_counter()
    if remaining < FEWEST * epoch:
        needed = math.ceil((FEWEST * epoch + hours.end - hours.begin - remaining + 10) / 6) / 10
        raise TrainingError(
            f"{recipe.name}: the time is too short to tune it, because one epoch takes {epoch:.1f} s. Allow at least "
            f"{needed:g} minutes or use fewer images."
        )
    return max(1, min(recipe.training.epochs, int(SEARCHING * remaining / (TRIALS * epoch))))


def _shortened_notice(recipe: Recipe, trial_epochs: int, epoch: float) -> str:
    minutes = math.ceil(TRIALS * recipe.training.epochs * epoch / SEARCHING / 60)
    return (
        f"Trials are shortened to {trial_epochs} of {recipe.training.epochs} epochs, so that {TRIALS} fit into the "
        f"time. The best values for the full length may differ. Full-length trials need about {minutes} minutes."
    )


def _paired_values(first: Recipe, second: Recipe) -> dict[str, tuple[object, object]]:
    """Return the values of two recipes, by key."""
    if first.early_stopping is None or second.early_stopping is None:
        sections = {name: kind for name, kind in SECTIONS.items() if name != "early_stopping"}
        values: dict[str, tuple[object, object]] = {"early_stopping": (first.early_stopping, second.early_stopping)}
    else:
        sections, values = SECTIONS, {}
    for section, kind in sections.items():
        for name in kind.model_fields:
            key = f"{section}.{name}"
            values[key] = (value_of(first, key), value_of(second, key))
    return values
