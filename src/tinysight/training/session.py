"""Training session: train a network and write its run directory."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tinysight._util.allocator import translate_oom, tune_malloc
from tinysight._util.errors import DataError, RunError, TrainingError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset
from tinysight.models.summary import count_parameters
from tinysight.recipes.schema import Recipe
from tinysight.runs.records import Environment, EpochRecord, RunStatus, Summary
from tinysight.runs.run import Run
from tinysight.training import resume
from tinysight.training.budget import EXIT_SECONDS
from tinysight.training.device import Device
from tinysight.training.distributed.process_group import SINGLE, ProcessGroup
from tinysight.training.environment import describe_environment, diff
from tinysight.training.precision import Precision
from tinysight.training.signals import StopRequest, catch_signals
from tinysight.training.train_split import split_dataset
from tinysight.training.trainer import Trainer, show_progress

CHECKPOINT_SECONDS = 60.0  # between checkpoints: at most this much work is lost in a crash
OOM_ADVICE = "reduce data.image_size or training.batch_size"


@dataclass(frozen=True)
class TrainConfig:
    """Everything that defines a training, resolved before the first step.

    Attributes:
        recipe: its network is set.
        dataset: the loaded images.
        data_source: name of a built-in dataset, or an absolute path.
        seed: seed of all random numbers.
        precision: the precision to train in.
        data_dir: directory of CIFAR-10, or None.
        device: the device to train on.
        start_time: start of the recipe's time budget, as of `time.perf_counter`.
    """

    recipe: Recipe
    dataset: Dataset
    data_source: str
    seed: int
    precision: Precision
    data_dir: Path | None = None
    device: Device = "cpu"
    start_time: float = field(default_factory=lambda: time.perf_counter())


def train(
    config: TrainConfig,
    path: Path,
    resume: bool = False,
    progress: Progress = SILENT,
    group: ProcessGroup = SINGLE,
    stop_request: StopRequest | None = None,
) -> Summary:
    """Train and write a run directory at `path`.

    Ctrl-C, or `stop_request` if given, ends the training after the current step with status "interrupted"; `resume`
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
    tune_malloc()
    with nullcontext(stop_request) if stop_request else catch_signals() as stop:
        with translate_oom(OOM_ADVICE, TrainingError):
            _check_size(config)
            images = split_dataset(config.dataset, config.recipe.data, config.seed)
            trainer = Trainer(
                config.recipe, config.dataset, images, config.seed, config.precision, config.device, group
            )
        environment = _environment(config, group)
        session = _Session(Run(path), trainer, config, progress, start)
        if resume:
            group.run_on_main(lambda: _require_same(config, path))
        else:
            _set_time_budget(trainer, config)
            group.run_on_main(lambda: session.begin(environment))  # last, so that an error before leaves no directory
        with session.run.training_lock() if group.is_main else nullcontext():
            if resume:
                session.restore(environment)
            return session.run_to_end(stop)


class _Session:
    """One session of a run: it ends when training is finished, interrupted or failed."""

    def __init__(self, run: Run, trainer: Trainer, plan: TrainConfig, progress: Progress, start: float) -> None:
        self.run, self.trainer, self.plan, self.progress = run, trainer, plan, progress
        self.start = self.last_save = start
        self.validation_seconds = self.save_seconds = 0.0
        self.previous_total_seconds = self.previous_train_seconds = 0.0

    def begin(self, environment: Environment) -> None:
        """Create the run directory."""
        summary = self._summary("running")
        Run.create(self.run.path, self.plan.recipe, environment, summary, self.plan.dataset.notes)

    def restore(self, environment: Environment) -> None:
        """Restore the trainer from the run's last checkpoint."""
        workers = self.trainer.group
        checkpoint = workers.run_on_main(self.run.checkpoint)
        if checkpoint is None:
            self.progress.note(f"{self.run.path}: no checkpoint was written yet. Starting from the beginning.")
            workers.run_on_main(lambda: self.run.write_environment(environment))
            _set_time_budget(self.trainer, self.plan)
            return
        workers.run_on_main(lambda: self._record_changes(environment))
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
        if differences := diff(before, now):
            self.progress.note(f"Resuming, but results will not be bit-identical ({'; '.join(differences)}).")
            self.run.write_environment(before.model_copy(update={"changes": (*before.changes, *differences)}))

    def run_to_end(self, interruption: StopRequest) -> Summary:
        """Train until the end, a stop request or an error."""
        self._save_summary("running")
        try:
            with translate_oom(OOM_ADVICE, TrainingError):
                while not self.trainer.done:
                    if not self._epoch(interruption):
                        return self._end("interrupted")
                return self._end("finished")
        except TrainingError as error:
            if self.trainer.group.is_main:
                self._fail(error)
            raise
        finally:
            self.progress.finish()  # close the progress bar

    def _end(self, status: RunStatus, error: str | None = None) -> Summary:
        """Write the classifier and the final summary."""
        start = time.perf_counter()
        classifier = self.trainer.finish()
        if status != "failed":  # after a failure, calibration could fail as well
            classifier = self.trainer.calibrate(classifier)
        self.validation_seconds += time.perf_counter() - start
        if self.trainer.group.is_main:
            self.run.write_classifier(classifier)
        return self._save_summary(status, error)

    def _epoch(self, interruption: StopRequest) -> bool:
        """Train the rest of the current epoch; return False if interrupted."""
        trainer, position = self.trainer, self.trainer.state
        training = self.plan.recipe.training
        task = f"epoch {position.epoch + 1}" + (f"/{training.epochs}" if training.minutes is None else "")
        self.progress.start(task, trainer.loader.images_per_epoch, "images")
        if position.images:
            show_progress(self.progress, position, position.images)
        while position.step < trainer.loader.steps_per_epoch and (position.step == 0 or trainer.progress < 1):
            show_progress(self.progress, position, trainer.step())
            if trainer.group.any_rank(interruption.requested):
                self.progress.finish()
                self._save_checkpoint()
                return False
            if time.perf_counter() - self.last_save > CHECKPOINT_SECONDS:
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
        if not self.trainer.group.is_main:
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

    def _save_summary(self, status: RunStatus, error: str | None = None) -> Summary:
        summary = self._summary(status, error)
        return self.run.write_progress(summary, self.trainer.history) if self.trainer.group.is_main else summary

    def _summary(self, status: RunStatus, error: str | None = None) -> Summary:
        dataset = self.plan.dataset
        train_seconds, total_seconds = self._seconds()
        return Summary(
            status=status,
            recipe=self.plan.recipe.name,
            dataset=dataset.name,
            notes=dataset.notes,
            epochs=len(self.trainer.history),
            parameters=count_parameters(self.trainer.network),
            val_accuracy=self.trainer.val_accuracy,
            val_images=len(self.trainer.split.validation),
            train_seconds=train_seconds,
            total_seconds=total_seconds,
            error=error,
        )

    def _seconds(self) -> tuple[float, float]:
        """Return the seconds so far over all sessions, without and with validation."""
        elapsed = time.perf_counter() - self.start
        return self.previous_train_seconds + elapsed - self.validation_seconds, self.previous_total_seconds + elapsed


def _set_time_budget(trainer: Trainer, plan: TrainConfig) -> None:
    """Set the trainer's time budget if the recipe has one, less the time already used."""
    minutes = plan.recipe.training.minutes
    if minutes is None:
        return
    trainer.set_time_budget(60 * minutes - (time.perf_counter() - plan.start_time) - EXIT_SECONDS)
    elapsed = time.perf_counter() - plan.start_time
    overhead = trainer.group.run_on_main(lambda: elapsed + trainer.budget.reserved_seconds + EXIT_SECONDS)
    if overhead >= 60 * minutes:
        raise TrainingError(
            f"training.minutes: {minutes:g} is too short, since setup and final validation take {overhead:.0f} s here. "
            "Increase it."
        )


def _environment(plan: TrainConfig, workers: ProcessGroup) -> Environment:
    return describe_environment(
        plan.dataset, plan.data_source, plan.data_dir, plan.seed, plan.precision, plan.device, workers.size
    )


def _require_same(plan: TrainConfig, path: Path) -> None:
    resume.check_resumable(path, plan.dataset, plan.recipe, plan.data_source, plan.seed, plan.precision)


def _check_size(plan: TrainConfig) -> None:
    size, (height, width) = plan.recipe.data.image_size, plan.dataset.image_size
    if (height, width) != (size, size):
        raise DataError(
            f"{plan.dataset.name}: its images are {height}x{width}, but the recipe's data.image_size is {size}. "
            "Load them at that size."
        )


def _format_epoch(task: str, epoch: EpochRecord) -> str:
    """Return the log line of an epoch; it fits into 80 columns."""
    return (
        f"{task}  {epoch.images_per_second:,.0f} images/s  loss {epoch.loss:.3f} (val {epoch.val_loss:.3f})  "
        f"accuracy {epoch.accuracy:.3f} (val {epoch.val_accuracy:.3f})"
    )
