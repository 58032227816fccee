"""Training session: train a network and write its run directory."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tinysight.data.dataset import Dataset
from tinysight.errors import DataError, RunError, TrainingError
from tinysight.memory import enough_memory, keep_freed_memory
from tinysight.models.summary import count
from tinysight.progress import SILENT, Progress
from tinysight.recipes.schema import Recipe
from tinysight.runs.records import Environment, Epoch, Status, Summary
from tinysight.runs.run import Run
from tinysight.training import resuming
from tinysight.training.clock import ENDING
from tinysight.training.device import Device
from tinysight.training.environment import changes, describe
from tinysight.training.images import cut
from tinysight.training.interruption import Interruption, listening
from tinysight.training.precision import Precision
from tinysight.training.trainer import Trainer, show
from tinysight.training.workers.group import ALONE, Workers

SAVE_EVERY = 60.0  # between checkpoints: at most this much work is lost in a crash
SMALLER = "reduce data.image_size or training.batch_size"


@dataclass(frozen=True)
class Plan:
    """Everything that defines a training, resolved before the first step.

    Attributes:
        recipe: its network is set.
        dataset: the loaded images.
        argument: name of a built-in dataset, or an absolute path.
        seed: seed of all random numbers.
        precision: the precision to train in.
        data_dir: directory of CIFAR-10, or None.
        device: the device to train on.
        begun: start of the recipe's time budget, as of `time.perf_counter`.
    """

    recipe: Recipe
    dataset: Dataset
    argument: str
    seed: int
    precision: Precision
    data_dir: Path | None = None
    device: Device = "cpu"
    begun: float = field(default_factory=lambda: time.perf_counter())


def train(
    plan: Plan,
    path: Path,
    resume: bool = False,
    progress: Progress = SILENT,
    workers: Workers = ALONE,
    interruption: Interruption | None = None,
) -> Summary:
    """Train and write a run directory at `path`.

    Ctrl-C, or `interruption` if given, ends the training after the current step with status "interrupted"; `resume`
    continues it. In distributed training all workers call this with the same plan; only the main worker accesses
    `path`.

    Raises:
        DataError, RecipeError: the recipe does not fit the dataset, or its split fails.
        RunError: `path` is in use, or with `resume` it holds no run with these settings.
        TrainingError: the loss or the weights are not finite, or memory is exhausted; the run keeps the weights of the
            last checkpoint. Or the time budget is too short for a single step.
        StorageError: the disk is full or read-only.
        WorkerLostError: another worker ended or failed.
    """
    start = time.perf_counter()
    keep_freed_memory()
    with nullcontext(interruption) if interruption else listening() as stop:
        with enough_memory(SMALLER, TrainingError):
            _check_size(plan)
            images = cut(plan.dataset, plan.recipe.data, plan.seed)
            trainer = Trainer(plan.recipe, plan.dataset, images, plan.seed, plan.precision, plan.device, workers)
        environment = _environment(plan, workers)
        session = _Session(Run(path), trainer, plan, progress, start)
        if resume:
            workers.of_first(lambda: _require_same(plan, path))
        else:
            _set_time_budget(trainer, plan)
            workers.of_first(lambda: session.begin(environment))  # last, so that an error before leaves no directory
        with session.run.locked() if workers.first else nullcontext():
            if resume:
                session.restore(environment)
            return session.run_to_end(stop)


class _Session:
    """One session of a run: it ends when training is finished, interrupted or failed."""

    def __init__(self, run: Run, trainer: Trainer, plan: Plan, progress: Progress, start: float) -> None:
        self.run, self.trainer, self.plan, self.progress = run, trainer, plan, progress
        self.start = self.last_save = start
        self.validation_seconds = self.save_seconds = 0.0
        self.previous_total_seconds = self.previous_train_seconds = 0.0

    def begin(self, environment: Environment) -> None:
        """Create the run directory."""
        summary = self._summary("running")
        Run.create(self.run.path, self.plan.recipe, environment, summary, self.plan.dataset.remarks)

    def restore(self, environment: Environment) -> None:
        """Restore the trainer from the run's last checkpoint."""
        workers = self.trainer.workers
        checkpoint = workers.of_first(self.run.checkpoint)
        if checkpoint is None:
            self.progress.note(f"{self.run.path}: no checkpoint was written yet. Starting from the beginning.")
            workers.of_first(lambda: self.run.write_environment(environment))
            _set_time_budget(self.trainer, self.plan)
            return
        workers.of_first(lambda: self._record_changes(environment))
        try:
            self.trainer.restore(checkpoint)
            self.previous_total_seconds = checkpoint.state["total_seconds"]
            self.previous_train_seconds = checkpoint.state["train_seconds"]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            folder = self.run.path / "checkpoint"
            raise RunError(f"{folder}: it belongs to another run. Restore a copy of it, or train again.") from error

    def _record_changes(self, now: Environment) -> None:
        """Report and record the changes of the environment since the run was started."""
        before = self.run.environment()
        if differences := changes(before, now):
            self.progress.note(f"Resuming, but results will not be bit-identical ({'; '.join(differences)}).")
            self.run.write_environment(before.model_copy(update={"changes": (*before.changes, *differences)}))

    def run_to_end(self, interruption: Interruption) -> Summary:
        """Train until the end, a stop request or an error."""
        self._save_summary("running")
        try:
            with enough_memory(SMALLER, TrainingError):
                while not self.trainer.done:
                    if not self._epoch(interruption):
                        return self._end("interrupted")
                return self._end("finished")
        except TrainingError as error:
            if self.trainer.workers.first:
                self._fail(error)
            raise
        finally:
            self.progress.finish()  # close the progress bar

    def _end(self, status: Status, error: str | None = None) -> Summary:
        """Write the classifier and the final summary."""
        start = time.perf_counter()
        classifier = self.trainer.finish()
        if status != "failed":  # after a failure, calibration could fail as well
            classifier = self.trainer.calibrate(classifier)
        self.validation_seconds += time.perf_counter() - start
        if self.trainer.workers.first:
            self.run.write_classifier(classifier)
        return self._save_summary(status, error)

    def _epoch(self, interruption: Interruption) -> bool:
        """Train the rest of the current epoch; return False if interrupted."""
        trainer, position = self.trainer, self.trainer.position
        training = self.plan.recipe.training
        task = f"epoch {position.epoch + 1}" + (f"/{training.epochs}" if training.minutes is None else "")
        self.progress.start(task, trainer.feed.images_an_epoch, "images")
        if position.seen:
            show(self.progress, position, position.seen)
        while position.step < trainer.feed.steps and (position.step == 0 or trainer.progress < 1):
            show(self.progress, position, trainer.step())
            if trainer.workers.any(interruption.asked):
                self.progress.finish()
                self._save_checkpoint()
                return False
            if time.perf_counter() - self.last_save > SAVE_EVERY:
                self._save_checkpoint()
        self._end_epoch(task)
        return True

    def _end_epoch(self, task: str) -> None:
        start = time.perf_counter()
        epoch = self.trainer.end_epoch()
        self.validation_seconds += time.perf_counter() - start
        must_save = self.plan.recipe.training.minutes is None or self.trainer.done
        if not must_save and time.perf_counter() - self.last_save < max(1.0, 20 * self.save_seconds):
            return  # a small dataset can take a hundred epochs per second
        self.progress.finish(_format_epoch(task, epoch))
        self._save_checkpoint()
        self._save_summary("running")

    def _save_checkpoint(self) -> None:
        if not self.trainer.workers.first:
            return
        start = time.perf_counter()
        checkpoint = self.trainer.checkpoint()
        train_seconds, total_seconds = self._seconds()
        checkpoint.state.update(train_seconds=train_seconds, total_seconds=total_seconds)
        self.run.write_checkpoint(checkpoint)
        self.last_save = time.perf_counter()
        self.save_seconds = self.last_save - start

    def _fail(self, error: TrainingError) -> None:
        """Restore the last checkpoint, whose weights are finite, and write its classifier."""
        checkpoint = self.run.checkpoint()
        if checkpoint is None:
            self._save_summary("failed", str(error))
        else:
            self.trainer.restore(checkpoint)
            self._end("failed", str(error))

    def _save_summary(self, status: Status, error: str | None = None) -> Summary:
        summary = self._summary(status, error)
        return self.run.write_progress(summary, self.trainer.history) if self.trainer.workers.first else summary

    def _summary(self, status: Status, error: str | None = None) -> Summary:
        dataset = self.plan.dataset
        train_seconds, total_seconds = self._seconds()
        return Summary(
            status=status,
            recipe=self.plan.recipe.name,
            dataset=dataset.name,
            remarks=dataset.remarks,
            epochs=len(self.trainer.history),
            parameters=count(self.trainer.network),
            val_accuracy=self.trainer.val_accuracy,
            train_seconds=train_seconds,
            total_seconds=total_seconds,
            error=error,
        )

    def _seconds(self) -> tuple[float, float]:
        """Return the seconds so far over all sessions, without and with validation."""
        elapsed = time.perf_counter() - self.start
        return self.previous_train_seconds + elapsed - self.validation_seconds, self.previous_total_seconds + elapsed


def _set_time_budget(trainer: Trainer, plan: Plan) -> None:
    """Set the trainer's time budget if the recipe has one, less the time already used."""
    minutes = plan.recipe.training.minutes
    if minutes is None:
        return
    trainer.end_in(60 * minutes - (time.perf_counter() - plan.begun) - ENDING)
    elapsed = time.perf_counter() - plan.begun
    overhead = trainer.workers.of_first(lambda: elapsed + trainer.clock.closing + ENDING)
    if overhead >= 60 * minutes:
        raise TrainingError(
            f"training.minutes: {minutes:g} is too short, since setup and final validation take {overhead:.0f} s here. "
            "Increase it."
        )


def _environment(plan: Plan, workers: Workers) -> Environment:
    return describe(plan.dataset, plan.argument, plan.data_dir, plan.seed, plan.precision, plan.device, workers.count)


def _require_same(plan: Plan, path: Path) -> None:
    resuming.require_same(path, plan.dataset, plan.recipe, plan.argument, plan.seed, plan.precision)


def _check_size(plan: Plan) -> None:
    size, (height, width) = plan.recipe.data.image_size, plan.dataset.image_size
    if (height, width) != (size, size):
        raise DataError(
            f"{plan.dataset.name}: its images are {height}x{width}, but the recipe's data.image_size is {size}. "
            "Load them at that size."
        )


def _format_epoch(task: str, epoch: Epoch) -> str:
    """Return the log line of an epoch; it fits into 80 columns."""
    return (
        f"{task}  {epoch.images_per_second:,.0f} images/s  loss {epoch.loss:.3f} (val {epoch.val_loss:.3f})  "
        f"accuracy {epoch.accuracy:.3f} (val {epoch.val_accuracy:.3f})"
    )
