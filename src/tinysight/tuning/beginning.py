"""How a study begins, or is joined: what is measured and settled before the first trial, once for all who take part."""

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

TRIALS = 12  # whole ones that should fit into the search; the fewer epochs they may have
FEWEST = 4  # trainings that make a study worth the name
_PROBE = 1.0  # seconds of training that tell how long an epoch takes


@dataclass(frozen=True)
class Order:
    """What was asked for.

    Attributes:
        argument: what `--data` said, made absolute.
        data_dir: where CIFAR-10 was said to lie.
        skip_bad: whether to go on without pictures that cannot be read.
    """

    recipe: Recipe
    argument: str
    seed: int = 0
    precision: precisions.Asked = "auto"
    device: devices.Asked = "auto"
    data_dir: Path | None = None
    skip_bad: bool = False


def require_tunable(recipe: Recipe) -> None:
    """Raise InputError unless trainings by the recipe can be compared: by epochs, with the same network."""
    if recipe.model.is_open or recipe.training.minutes is not None:
        raise InputError(
            f"The recipe {recipe.name} goes by the clock, so that its trainings do not compare; tune one that names "
            "its network and its epochs, such as fast-85."
        )


def require_free_or_same(path: Path, order: Order) -> None:
    """Raise RunError if there is something at `path` that is not the study that was asked for."""
    if Study.is_at(path):
        require_same(Study.open(path), order)
    else:
        Study.require_free(path)


def require_same(study: Study, order: Order) -> None:
    """Raise RunError if the study is another than the one that was asked for, as far as is known without images."""
    kept = study.record
    others = {"seed": (kept.seed, order.seed)} | _differences(kept.recipe, order.recipe)
    if order.precision != "auto":
        others["precision"] = (kept.precision, order.precision)
    for name, (there, here) in others.items():
        if there != here:
            raise RunError(
                f"{study.path} is the study of another recipe or seed ({name}: {there} there, {here} here); ask for "
                "the same, or choose another --out."
            )


def require_same_images(study: Study, dataset: Dataset) -> None:
    """Raise RunError if the study's images are others than those of `dataset`, which has no test images in it."""
    if study.record.fingerprint != dataset.fingerprint:
        raise RunError(f"{study.path} is the study of other images than {dataset.name}; choose another --out.")


def begin(
    path: Path, order: Order, dataset: Dataset, hours: Hours, workers: int = 1, progress: Progress = SILENT
) -> Study:
    """Make a study at `path`, with trials so long that enough of them fit into the time of so many processes.

    Raises:
        TrainingError: the time is too short for anything.
        InputError: a graphics card or bfloat16 was asked for, and cannot be used.
    """
    device = devices.choose(order.device)
    precision = precisions.choose(order.precision, order.recipe, device, progress)
    subject = Subject.of(dataset, order.recipe, order.seed, precision, device)
    epoch = epoch_seconds(subject, order.recipe, order.seed)
    length = _length(order.recipe, epoch / workers, hours)
    if length < order.recipe.training.epochs:
        progress.note(_shortened(order.recipe, length, epoch / workers))
    record = StudyRecord(
        recipe=order.recipe,
        epochs=length,
        trial_seconds=length * epoch,
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
    """Return how long an epoch takes here, the look at the validation images included, by training for a moment."""
    trainer = Trainer(recipe, subject.dataset, subject.images, seed, subject.precision, subject.device)
    trainer.step()
    trainer.position = Position()  # what torch does once must not be counted for every step
    start = time.perf_counter()
    ended = next(epochs(trainer, stop=lambda: time.perf_counter() - start > _PROBE), None)
    pace = ended.images_per_second if ended else trainer.position.seen / trainer.position.seconds
    return (trainer.feed.images_an_epoch + LOOK * len(subject.images.validation)) / pace


def _length(recipe: Recipe, epoch: float, hours: Hours) -> int:
    """Return how many epochs a trial may have, of which all processes together need `epoch` seconds for each.

    Raises:
        TrainingError: there is no time for a few trials of one epoch.
    """
    left = hours.end - time.perf_counter()
    if left < FEWEST * epoch:
        needed = math.ceil((FEWEST * epoch + hours.end - hours.begin - left + 10) / 6) / 10
        raise TrainingError(
            f"The time is too short to tune {recipe.name} on these images: one epoch takes {epoch:.1f} s here, so give "
            f"at least --minutes {needed:g}, or take fewer images."
        )
    return max(1, min(recipe.training.epochs, int(SEARCHING * left / (TRIALS * epoch))))


def _shortened(recipe: Recipe, length: int, epoch: float) -> str:
    whole = math.ceil(TRIALS * recipe.training.epochs * epoch / SEARCHING / 60)
    return (
        f"Trials last {length} of the recipe's {recipe.training.epochs} epochs, so that a dozen fit into the time; "
        f"what is best for so few may not be best for all. Whole ones would take about --minutes {whole}."
    )


def _differences(one: Recipe, other: Recipe) -> dict[str, tuple[object, object]]:
    """Return the values in which two recipes differ, by key."""
    if one.early_stopping is None or other.early_stopping is None:
        sections = {name: kind for name, kind in SECTIONS.items() if name != "early_stopping"}
        found: dict[str, tuple[object, object]] = {"early_stopping": (one.early_stopping, other.early_stopping)}
    else:
        sections, found = SECTIONS, {}
    for section, kind in sections.items():
        for name in kind.model_fields:
            key = f"{section}.{name}"
            found[key] = (value_of(one, key), value_of(other, key))
    return found
