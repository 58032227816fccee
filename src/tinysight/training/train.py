"""A recipe and a dataset go in, a run comes out."""

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

SAVE_EVERY = 60.0  # seconds of work that a crash may cost at most
SMALLER = "make data.image_size or training.batch_size smaller"


@dataclass(frozen=True)
class Plan:
    """What is to be trained, settled before the first step.

    Attributes:
        argument: what `--data` said, made absolute.
        data_dir: where CIFAR-10 was said to lie.
        begun: when the time began that the recipe may give in minutes, by `time.perf_counter`.
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
    """Train, and leave a run directory at `path`.

    Ctrl-C, or else `interruption`, ends the training after the step in hand with status "interrupted"; `resume` goes on
    with it. Of several workers, who all call this with the same plan, the first alone reads and writes there.

    Raises:
        DataError, RecipeError: these images cannot be split, or not be learned from, as the recipe says.
        RunError: `path` is in use, or with `resume` not a run that can go on with this plan.
        TrainingError: the loss or the weights are not finite any more, or there is not enough memory; what the last
            checkpoint held is kept. Or the recipe gives less time than what goes before and after the steps takes.
        StorageError: the disk is full or read-only.
        WorkerLostError: another worker ended without a word, or with an error of its own.
    """
    start = time.perf_counter()
    keep_freed_memory()
    with nullcontext(interruption) if interruption else listening() as asking:
        with enough_memory(SMALLER, TrainingError):
            _check_size(plan)
            images = cut(plan.dataset, plan.recipe.data, plan.seed)
            trainer = Trainer(plan.recipe, plan.dataset, images, plan.seed, plan.precision, plan.device, workers)
        environment = _environment(plan, workers)
        session = _Session(Run(path), trainer, plan, progress, start)
        if resume:
            workers.of_first(lambda: _require_same(plan, path))
        else:
            _limit(trainer, plan)
            workers.of_first(lambda: session.begin(environment))  # last: a plan that fails leaves no directory
        with session.run.locked() if workers.first else nullcontext():
            if resume:
                session.restore(environment)
            return session.run_to_end(asking)


class _Session:
    """One sitting of a run: from here to the end, an interruption or a failure."""

    def __init__(self, run: Run, trainer: Trainer, plan: Plan, progress: Progress, start: float) -> None:
        self.run, self.trainer, self.plan, self.progress = run, trainer, plan, progress
        self.start = self.saved = start
        self.validation = self.before = self.before_training = self.saving = 0.0

    def begin(self, environment: Environment) -> None:
        """Make the run directory."""
        summary = self._summary("running")
        Run.create(self.run.path, self.plan.recipe, environment, summary, self.plan.dataset.remarks)

    def restore(self, environment: Environment) -> None:
        """Take the trainer to where the run stands."""
        workers = self.trainer.workers
        checkpoint = workers.of_first(self.run.checkpoint)
        if checkpoint is None:
            self.progress.note("This run never reached its first checkpoint: starting it from the beginning.")
            workers.of_first(lambda: self.run.write_environment(environment))
            _limit(self.trainer, self.plan)
            return
        workers.of_first(lambda: self._compare(environment))
        try:
            self.trainer.restore(checkpoint)
            self.before, self.before_training = checkpoint.state["total_seconds"], checkpoint.state["train_seconds"]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            folder = self.run.path / "checkpoint"
            raise RunError(f"{folder} belongs to another run; restore it from a copy or train again.") from error

    def _compare(self, now: Environment) -> None:
        """Say, and write down, what is another than when the run was begun."""
        before = self.run.environment()
        if others := changes(before, now):
            self.progress.note(f"It goes on, but not bit for bit as it would have ({'; '.join(others)}).")
            self.run.write_environment(before.model_copy(update={"changes": (*before.changes, *others)}))

    def run_to_end(self, interruption: Interruption) -> Summary:
        """Train until there is nothing left, somebody asks to stop, or the loss is not finite."""
        self._say("running")
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
            self.progress.finish()  # no error may leave a live bar behind

    def _end(self, status: Status, error: str | None = None) -> Summary:
        """Keep what the training has come to so far as something that predicts."""
        before = time.perf_counter()
        classifier = self.trainer.finish()
        if status != "failed":  # after a failure nothing is tried that could fail as well
            classifier = self.trainer.calibrate(classifier)
        self.validation += time.perf_counter() - before
        if self.trainer.workers.first:
            self.run.write_classifier(classifier)
        return self._say(status, error)

    def _epoch(self, interruption: Interruption) -> bool:
        """Train one epoch, or what is left of it; return whether it came to its end."""
        trainer, at = self.trainer, self.trainer.position
        training = self.plan.recipe.training
        task = f"epoch {at.epoch + 1}" + (f"/{training.epochs}" if training.minutes is None else "")
        self.progress.start(task, trainer.feed.images_an_epoch, "images")
        if at.seen:
            show(self.progress, at, at.seen)
        while at.step < trainer.feed.steps and (at.step == 0 or trainer.progress < 1):
            show(self.progress, at, trainer.step())
            if trainer.workers.any(interruption.asked):
                self.progress.finish()
                self._save()
                return False
            if time.perf_counter() - self.saved > SAVE_EVERY:
                self._save()
        self._end_epoch(task)
        return True

    def _end_epoch(self, task: str) -> None:
        before = time.perf_counter()
        epoch = self.trainer.end_epoch()
        self.validation += time.perf_counter() - before
        over_or_untimed = self.plan.recipe.training.minutes is None or self.trainer.done
        if not over_or_untimed and time.perf_counter() - self.saved < max(1.0, 20 * self.saving):
            return  # a few pictures may make a hundred epochs a second
        self.progress.finish(_line(task, epoch))
        self._save()
        self._say("running")

    def _save(self) -> None:
        if not self.trainer.workers.first:
            return
        before = time.perf_counter()
        checkpoint = self.trainer.checkpoint()
        train_seconds, total_seconds = self._seconds()
        checkpoint.state.update(train_seconds=train_seconds, total_seconds=total_seconds)
        self.run.write_checkpoint(checkpoint)
        self.saved = time.perf_counter()
        self.saving = self.saved - before

    def _fail(self, error: TrainingError) -> None:
        """Keep the weights of the last checkpoint, which were still good."""
        good = self.run.checkpoint()
        if good is None:
            self._say("failed", str(error))
        else:
            self.trainer.restore(good)
            self._end("failed", str(error))

    def _say(self, status: Status, error: str | None = None) -> Summary:
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
        """Return the seconds of training so far, without and with the looks at the validation images."""
        now = time.perf_counter() - self.start
        return self.before_training + now - self.validation, self.before + now


def _limit(trainer: Trainer, plan: Plan) -> None:
    """Have the trainer end so early that all is over in the minutes that the recipe gives, if it gives any."""
    minutes = plan.recipe.training.minutes
    if minutes is None:
        return
    trainer.end_in(60 * minutes - (time.perf_counter() - plan.begun) - ENDING)
    gone = time.perf_counter() - plan.begun
    around = trainer.workers.of_first(lambda: gone + trainer.clock.closing + ENDING)
    if around >= 60 * minutes:
        raise TrainingError(
            f"training.minutes is {minutes:g}, but what comes before the first step and after the last takes "
            f"{around:.0f} s here; give it more."
        )


def _environment(plan: Plan, workers: Workers) -> Environment:
    return describe(plan.dataset, plan.argument, plan.data_dir, plan.seed, plan.precision, plan.device, workers.count)


def _require_same(plan: Plan, path: Path) -> None:
    resuming.require_same(path, plan.dataset, plan.recipe, plan.argument, plan.seed, plan.precision)


def _check_size(plan: Plan) -> None:
    size, found = plan.recipe.data.image_size, plan.dataset.image_size
    if found != (size, size):
        raise DataError(
            f"The images of {plan.dataset.name} are {found[0]}x{found[1]}, but the recipe's data.image_size is {size}; "
            "load them in that size."
        )


def _line(task: str, epoch: Epoch) -> str:
    """Return what remains of an epoch on the screen; it fits into 80 columns."""
    return (
        f"{task}  {epoch.images_per_second:,.0f} images/s  loss {epoch.loss:.3f} (val {epoch.val_loss:.3f})  "
        f"accuracy {epoch.accuracy:.3f} (val {epoch.val_accuracy:.3f})"
    )
