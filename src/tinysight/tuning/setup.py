"""Setup of a study: check the request, measure the speed, fix the trial length."""

from __future__ import annotations

import datetime
import math
import time
from dataclasses import dataclass
from pathlib import Path

from tinysight._util.errors import InputError, RunError, TrainingError
from tinysight._util.progress import SILENT, Progress
from tinysight._util.timing import Deadline
from tinysight.data.dataset import Dataset
from tinysight.recipes.schema import SECTIONS, Recipe
from tinysight.training import device as devices
from tinysight.training import precision as precisions
from tinysight.training.forecast import EVAL_COST
from tinysight.training.methods import build_trainer
from tinysight.training.trainer import EpochState, train_epochs
from tinysight.tuning.space import get_value
from tinysight.tuning.study import Study, StudyRecord
from tinysight.tuning.trial import TrialContext
from tinysight.tuning.worker import SEARCH_FRACTION

TARGET_TRIALS = 12  # unpruned trials that should fit into the search; determines their epochs
MIN_TRIALS = 4  # minimum number of training runs in a study
_PROBE_SECONDS = 1.0  # of training, to measure the speed


@dataclass(frozen=True)
class TuneRequest:
    """Settings of a search.

    Attributes:
        recipe: the recipe to start from.
        argument: the dataset, as given by the user; directories as absolute paths.
        seed: seed of the split, the trials and the search.
        precision: requested precision.
        device: requested device.
        data_dir: directory of CIFAR-10, or None for the default.
        skip_unreadable: whether to skip unreadable images.
    """

    recipe: Recipe
    argument: str
    seed: int = 0
    precision: precisions.PrecisionOption = "auto"
    device: devices.DeviceOption = "auto"
    data_dir: Path | None = None
    skip_unreadable: bool = False


def check_tunable(recipe: Recipe) -> None:
    """Raise InputError unless the recipe fixes its network and its number of epochs, and has hyperparameters."""
    if recipe.training.method == "probe":
        raise InputError(f"{recipe.name}: a probe chooses its penalty itself, so there is nothing to tune. Train it.")
    if recipe.training.method == "auto" or recipe.model.needs_time_budget or recipe.training.minutes is not None:
        raise InputError(
            f"{recipe.name}: its training depends on a time budget, so trials cannot be compared. Tune a recipe with a "
            "fixed network and number of epochs, such as fast-85."
        )


def check_available_or_same(path: Path, request: TuneRequest) -> None:
    """Raise RunError if `path` exists and is not the requested study."""
    if Study.exists_at(path):
        check_same_settings(Study.open(path), request)
    else:
        Study.check_available(path)


def check_same_settings(study: Study, request: TuneRequest) -> None:
    """Raise RunError if the study has other settings than `request`; images are not compared."""
    record = study.record
    settings = {"seed": (record.seed, request.seed)} | _paired_values(record.recipe, request.recipe)
    if request.precision != "auto":
        settings["precision"] = (record.precision, request.precision)
    for name, (existing, requested) in settings.items():
        if existing != requested:
            raise RunError(
                f"{study.path}: is a study with other settings ({name}: {existing} there, {requested} requested). "
                "Use the same settings or choose another output directory."
            )


def check_same_images(study: Study, dataset: Dataset) -> None:
    """Raise RunError if the study has other images than `dataset`, whose test split must be empty."""
    if study.record.fingerprint != dataset.fingerprint:
        raise RunError(
            f"{study.path}: is a study of other images than {dataset.name}. Choose another output directory."
        )


def create_study(
    path: Path,
    request: TuneRequest,
    dataset: Dataset,
    deadline: Deadline,
    workers: int = 1,
    progress: Progress = SILENT,
) -> Study:
    """Create a study at `path`; shorten its trials so that about a dozen fit into the time.

    Raises:
        TrainingError: the time is too short.
        InputError: the requested device or precision is not available.
    """
    device = devices.resolve_device(request.device)
    precision = precisions.resolve_precision(
        request.precision, request.recipe, device, progress, num_classes=len(dataset.class_names)
    )
    context = TrialContext.create(dataset, request.recipe, request.seed, precision, device)
    epoch = measure_epoch_seconds(context, request.recipe, request.seed)
    trial_epochs = _trial_epochs(request.recipe, epoch / workers, deadline)
    if trial_epochs < request.recipe.training.epochs:
        progress.note(_shortened_notice(request.recipe, trial_epochs, epoch / workers))
    record = StudyRecord(
        recipe=request.recipe,
        epochs=trial_epochs,
        trial_seconds=trial_epochs * epoch,
        argument=request.argument,
        skip_unreadable=request.skip_unreadable,
        fingerprint=context.dataset.fingerprint,
        task=dataset.task,
        seed=request.seed,
        precision=precision,
        device=device,
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    )
    return Study.create(path, record)


def measure_epoch_seconds(context: TrialContext, recipe: Recipe, seed: int) -> float:
    """Measure the seconds of an epoch, including validation, by training for about a second."""
    trainer = build_trainer(recipe, context.dataset, context.split, seed, context.precision, context.device)
    trainer.state = EpochState(epoch=1)  # fine-tuning trains from the second epoch on
    trainer.step()
    trainer.state = EpochState(epoch=1)  # excludes the first step, which includes one-time setup
    start = time.perf_counter()
    state = next(train_epochs(trainer, stop=lambda: time.perf_counter() - start > _PROBE_SECONDS), None)
    images_per_second = state.images_per_second if state else trainer.state.images / trainer.state.seconds
    return (trainer.loader.images_per_epoch + EVAL_COST * len(context.split.validation)) / images_per_second


def _trial_epochs(recipe: Recipe, epoch: float, deadline: Deadline) -> int:
    """Return the number of epochs of a trial.

    Args:
        recipe: the recipe; its epochs are the maximum.
        epoch: seconds per epoch, divided by the number of processes.
        deadline: end of the search.

    Raises:
        TrainingError: the time is too short for four trials of one epoch.
    """
    remaining = deadline.remaining()
    if remaining < MIN_TRIALS * epoch:
        needed = math.ceil((MIN_TRIALS * epoch + deadline.seconds - remaining + 10) / 6) / 10
        raise TrainingError(
            f"{recipe.name}: the time is too short to tune it, because one epoch takes {epoch:.1f} s. Allow at least "
            f"{needed:g} minutes or use fewer images."
        )
    return max(1, min(recipe.training.epochs, int(SEARCH_FRACTION * remaining / (TARGET_TRIALS * epoch))))


def _shortened_notice(recipe: Recipe, trial_epochs: int, epoch: float) -> str:
    minutes = math.ceil(TARGET_TRIALS * recipe.training.epochs * epoch / SEARCH_FRACTION / 60)
    return (
        f"Trials are shortened to {trial_epochs} of {recipe.training.epochs} epochs, so that {TARGET_TRIALS} fit into "
        f"the time. The best values for the full length may differ. Full-length trials need about {minutes} minutes."
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
            values[key] = (get_value(first, key), get_value(second, key))
    return values
