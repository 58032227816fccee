"""Training session: train a network and write its run directory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from tinysight._util.allocator import translate_oom, tune_malloc
from tinysight._util.errors import DataError, RunError, TrainingError
from tinysight._util.formatting import percent
from tinysight._util.progress import SILENT, Progress
from tinysight._util.timing import Stopwatch
from tinysight.data.splits import MAX_CHECKED_PAIRS, TrainSplit, duplicates_across, split_dataset
from tinysight.models.conformal import ALL_CLASSES
from tinysight.models.ood import describe_ood
from tinysight.models.scores import describe_never_predicted
from tinysight.models.summary import count_parameters
from tinysight.models.transfer import transfer_weights
from tinysight.runs.checkpoint import Checkpoint
from tinysight.runs.image_index import ImageIndex
from tinysight.runs.records import Environment, EpochRecord, MajorityBaseline, RunStatus, Summary
from tinysight.runs.run import Run
from tinysight.training.budget import EXIT_SECONDS
from tinysight.training.distributed.process_group import SINGLE, ProcessGroup
from tinysight.training.environment import describe_environment, diff
from tinysight.training.loggers import Callback, LoggerGroup
from tinysight.training.methods import build_trainer
from tinysight.training.request import TrainConfig, check_resumable
from tinysight.training.signals import StopRequest, catch_signals
from tinysight.training.small_data import FITTED_ACCURACY, FITTED_STEPS, SMALL_IMAGES
from tinysight.training.trainer import Trainer, show_progress

CHECKPOINT_SECONDS = 60.0  # between checkpoints: at most this much work is lost in a crash
OOM_ADVICE = "reduce data.image_size or training.batch_size"


class Session:
    """One session of a run: trains, writes the run directory, and ends when finished, interrupted or failed.

    In distributed training every worker runs a session of the same configuration; only the main worker accesses the
    run directory.
    """

    def __init__(
        self,
        config: TrainConfig,
        group: ProcessGroup = SINGLE,
        progress: Progress = SILENT,
        stop_request: StopRequest | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Prepare a session.

        Args:
            config: what to train; see `resolve`.
            group: the workers of the training.
            progress: receives the images trained on, and a line per epoch.
            stop_request: ends the session after the current step; by default Ctrl-C and SIGTERM do.
            callbacks: called on the main worker with the metrics of each epoch; an error of theirs ends the session.
        """
        self.config, self.group, self.progress, self.stop_request = config, group, progress, stop_request
        self.callbacks, self.loggers = callbacks, LoggerGroup(progress)
        self.run_directory = Run(config.path)
        self.stopwatch = Stopwatch()
        self.trainer: Trainer

    def run(self) -> Summary:
        """Train to the end, and return the final summary.

        An interrupted session has the status "interrupted"; `config.resume` continues it.

        Raises:
            DataError, RecipeError: the recipe does not fit the dataset, or its split fails.
            RunError: the directory is in use, or with `resume` it holds no run with these settings.
            TrainingError: the loss or the weights are not finite, or memory is exhausted; the run keeps the weights of
                the last checkpoint. Or the time budget is too short for a single step.
            StorageError: the disk is full or read-only.
            WorkerLostError: another worker ended or failed.
        """
        config, group = self.config, self.group
        tune_malloc()
        with nullcontext(self.stop_request) if self.stop_request else catch_signals() as stop_request:
            with translate_oom(OOM_ADVICE, TrainingError):
                self.trainer = self._build_trainer()
            environment = describe_environment(
                *(config.dataset, config.data_source, config.data_dir, config.seed),
                *(config.precision, config.device, group.size),
            )
            if config.resume:
                group.run_on_main(lambda: check_resumable(config))
            else:
                self._set_time_budget()
                group.run_on_main(lambda: self._begin(environment))  # last: an error before leaves no directory
            with self.run_directory.training_lock() if group.is_main else nullcontext():
                if config.resume:
                    self._restore(environment)
                return self._train(stop_request)

    def _build_trainer(self) -> Trainer:
        config, size = self.config, self.config.recipe.data.image_size
        if config.dataset.image_size != (size, size):
            height, width = config.dataset.image_size
            raise DataError(
                f"{config.dataset.name}: its images are {height}x{width}, but the recipe's data.image_size is {size}. "
                "Load them at that size."
            )
        split = split_dataset(config.dataset, config.recipe.data, config.seed)
        if self.group.is_main and not config.resume and self.progress is not SILENT:
            self._report_near_duplicates(split)
        options = (config.seed, config.precision, config.device, self.group, config.network)
        trainer = build_trainer(config.recipe, config.dataset, split, *options)
        if config.initial_weights is not None and not config.resume:
            names = config.dataset.class_names
            trainer.network.load_state_dict(transfer_weights(config.initial_weights, trainer.network, names))
        return trainer

    def _report_near_duplicates(self, split: TrainSplit) -> None:
        """Note how many validation and test images have a near-duplicate among the training images."""
        if self.config.recipe.data.near_duplicates == "drop":
            self.progress.note(
                f"Near-duplicates of validation and test images: {split.n_dropped:,} training images left out."
            )
            return
        others = [split.validation, self.config.dataset.test]
        n_train, n_others = len(split.train_indices), sum(map(len, others))
        if n_train * n_others > MAX_CHECKED_PAIRS:
            self.progress.note(
                f"Near-duplicates between the {n_train:,} training images and the {n_others:,} validation and test "
                "images were not searched, because this would take long. An audit searches for them."
            )
            return
        pairs = duplicates_across(split.train, split.train_indices, *others)
        if count := len(set(pairs[:, 1].tolist())):
            self.progress.note(
                f"Near-duplicates: {count:,} of {n_others:,} validation and test images are almost identical to a "
                "training image, so their accuracy is too high. "
                'Set data.near_duplicates to "keep-together" or "drop".'
            )

    def _set_time_budget(self) -> None:
        """Give the trainer the rest of the time budget, if the recipe has one."""
        deadline = self.config.deadline
        if not deadline.has_limit:
            return
        self.trainer.set_time_budget(deadline.remaining() - EXIT_SECONDS)
        elapsed = deadline.elapsed()
        overhead = self.group.run_on_main(lambda: elapsed + self.trainer.budget.reserved_seconds + EXIT_SECONDS)
        if overhead >= deadline.seconds:
            raise TrainingError(
                f"training.minutes: {deadline.seconds / 60:g} is too short, since setup and final validation take "
                f"{overhead:.0f} s here. Increase it."
            )

    def _begin(self, environment: Environment) -> None:
        """Create the run directory."""
        config, summary = self.config, self._summary("running")
        # The images of CIFAR-10 are known, so `index_of` can compute their index when it is needed.
        images = None if config.data_source == "cifar10" else ImageIndex.of(config.dataset, self.trainer.split)
        # A session that is resumed before its first checkpoint would not know the weights that it started from.
        first = None if config.initial_weights is None else self._checkpoint()
        notes = config.dataset.notes
        Run.create(config.path, config.recipe, environment, summary, notes, images, config.dataset_files, first)

    def _restore(self, environment: Environment) -> None:
        """Restore the trainer from the run's last checkpoint."""
        checkpoint = self.group.run_on_main(self.run_directory.checkpoint)
        if checkpoint is None:
            self.progress.note(
                f"{self.run_directory.path}: no checkpoint was written yet. Starting from the beginning."
            )
            self.group.run_on_main(lambda: self.run_directory.write_environment(environment))
            self._set_time_budget()
            return
        self.group.run_on_main(lambda: self._record_changes(environment))
        try:
            self.trainer.restore(checkpoint)
            self.stopwatch.add(**checkpoint.state["seconds"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            folder = self.run_directory.path / "checkpoint"
            raise RunError(
                f"{folder}: belongs to another run. Restore the checkpoint of this run, or train again."
            ) from error

    def _record_changes(self, now: Environment) -> None:
        """Report and record the changes of the environment since the run was started."""
        before = self.run_directory.environment()
        if differences := diff(before, now):
            self.progress.note(f"Resuming, but results will not be bit-identical ({'; '.join(differences)}).")
            self.run_directory.write_environment(before.model_copy(update={"changes": (*before.changes, *differences)}))

    def _train(self, stop_request: StopRequest) -> Summary:
        """Train until the end, a stop request or an error."""
        self._save_summary("running")
        status: RunStatus = "failed"
        try:
            if self.group.is_main:
                self.loggers.open(self.config.loggers, self.config.path, self.config.recipe, self.trainer.history)
            with translate_oom(OOM_ADVICE, TrainingError):
                while not self.trainer.done:
                    if not self._epoch(stop_request):
                        status = "interrupted"
                        return self._end(status)
                for note in filter(None, (self._early_end(), self._few_steps())):
                    self.progress.note(note)
                status = "finished"
                return self._end(status)
        except TrainingError as error:
            status = "failed"
            if self.group.is_main:
                self._fail(error)
            raise
        finally:
            self.progress.finish()  # close the progress bar
            self.loggers.close(status)

    def _early_end(self) -> str:
        """Return why training ended before its last epoch or the end of its time, in sentences; "" if it did not."""
        trainer, training, n_epochs = self.trainer, self.config.recipe.training, len(self.trainer.history)
        if trainer.stopped_early and trainer.early_stopping:
            reason = trainer.early_stopping.describe()
        elif training.minutes is not None and training.max_epochs == n_epochs:
            reason = f"Ended after {n_epochs:,} epochs (training.max_epochs), since more would change little."
        else:
            return ""
        if training.minutes is None:
            return f"{reason} Not used: {training.epochs - n_epochs:,} of {training.epochs:,} epochs."
        unused = max(0.0, self.config.deadline.remaining() - EXIT_SECONDS) / 60
        return f"{reason} Not used: {unused:.1f} of {training.minutes:g} minutes."

    def _few_steps(self) -> str:
        """Return a warning if a fixed number of epochs was too short for a small dataset, else ""."""
        trainer, training = self.trainer, self.config.recipe.training
        last, steps_per_epoch = trainer.history[-1], trainer.loader.steps_per_epoch
        n_train, n_steps = len(trainer.split.train_indices), len(trainer.history) * steps_per_epoch
        is_enough = n_train >= SMALL_IMAGES or n_steps >= FITTED_STEPS or last.accuracy >= FITTED_ACCURACY
        if training.method != "scratch" or training.minutes is not None or is_enough:
            return ""
        return (
            f"Few steps: {n_steps:,} in all, since an epoch of {n_train:,} images has only {steps_per_epoch:,}. The "
            f"training accuracy is {percent(last.accuracy)}. Set training.minutes, or increase training.epochs."
        )

    def _end(self, status: RunStatus, error: str | None = None) -> Summary:
        """Write the classifier and the final summary."""
        with self.stopwatch.lap("validation"):
            classifier = self.trainer.finish()
            if status != "failed":  # after a failure, calibration could fail as well
                classifier = self.trainer.calibrate(classifier)
        if warning := describe_never_predicted(self.trainer.never_predicted, "validation"):
            self.progress.note(warning)
        promise = classifier.spec.promise
        if promise and classifier.abstain_below > 1:
            self.progress.note(promise.describe(classifier.abstain_below))
        sets = classifier.spec.set_promise
        if sets and classifier.set_threshold == ALL_CLASSES:
            self.progress.note(sets.describe())
        if status != "failed" and classifier.ood_threshold is None:
            self.progress.note(describe_ood(None, classifier.spec.n_calibration))
        if self.group.is_main:
            self.run_directory.write_classifier(classifier)
        return self._save_summary(status, error)

    def _epoch(self, stop_request: StopRequest) -> bool:
        """Train the rest of the current epoch; return False if interrupted."""
        trainer, state = self.trainer, self.trainer.state
        training = self.config.recipe.training
        task = f"epoch {state.epoch + 1}" + (f"/{training.epochs}" if training.minutes is None else "")
        self.progress.start(task, trainer.loader.images_per_epoch, "images")
        if state.images:
            show_progress(self.progress, trainer, state.images)
        while state.step < trainer.loader.steps_per_epoch and (state.step == 0 or trainer.progress < 1):
            show_progress(self.progress, trainer, trainer.step())
            if self.group.any_rank(stop_request.requested):
                self.progress.finish()
                self._save_checkpoint()
                return False
            if self.stopwatch.since("save") > CHECKPOINT_SECONDS:
                self._save_checkpoint()
        self._end_epoch(task)
        return True

    def _end_epoch(self, task: str) -> None:
        with self.stopwatch.lap("validation"):
            epoch = self.trainer.end_epoch()
        must_save = self.config.recipe.training.minutes is None or self.trainer.done
        # A small dataset can take a hundred epochs per second.
        if must_save or self.stopwatch.since("save") >= max(1.0, 20 * self.stopwatch.latest.get("save", 0.0)):
            self.progress.finish(_format_epoch(task, epoch))
            if self.trainer.saves_epochs:
                self._save_checkpoint()
            self._save_summary("running")
        if self.group.is_main:
            self.loggers.log(epoch)
            for callback in self.callbacks:
                callback(epoch)

    def _save_checkpoint(self) -> None:
        if not self.group.is_main:
            return
        with self.stopwatch.lap("save"):
            self.run_directory.write_checkpoint(self._checkpoint())

    def _checkpoint(self) -> Checkpoint:
        checkpoint = self.trainer.checkpoint()
        checkpoint.state["seconds"] = self.stopwatch.state()
        return checkpoint

    def _fail(self, error: TrainingError) -> None:
        """Restore the last checkpoint, whose weights are finite, and write its classifier."""
        checkpoint = self.run_directory.checkpoint()
        if checkpoint is None:
            self._save_summary("failed", str(error))
        else:
            self.trainer.restore(checkpoint)
            self._end("failed", str(error))

    def _save_summary(self, status: RunStatus, error: str | None = None) -> Summary:
        summary = self._summary(status, error)
        return self.run_directory.write_progress(summary, self.trainer.history) if self.group.is_main else summary

    def _summary(self, status: RunStatus, error: str | None = None) -> Summary:
        dataset, split = self.config.dataset, self.trainer.split
        support = split.validation.class_counts(len(dataset.class_names))
        has_baseline = dataset.task == "multi-class" and sum(support) > 0
        return Summary(
            status=status,
            recipe=self.config.recipe.name,
            dataset=dataset.name,
            task=dataset.task,
            notes=dataset.notes,
            epochs=len(self.trainer.history),
            parameters=count_parameters(self.trainer.network),
            val_accuracy=self.trainer.val_accuracy,
            val_balanced_accuracy=self.trainer.val_balanced_accuracy,
            val_mean_average_precision=self.trainer.val_mean_average_precision,
            train_images=len(split.train_indices),
            val_images=len(split.validation),
            val_majority=MajorityBaseline.from_support(support, dataset.class_names) if has_baseline else None,
            train_seconds=self.stopwatch.total(without="validation"),
            total_seconds=self.stopwatch.total(),
            error=error,
        )


def _format_epoch(task: str, epoch: EpochRecord) -> str:
    """Return the log line of an epoch; it fits into 80 columns, or into 100 for several labels per image."""
    precision = epoch.val_mean_average_precision
    return (
        f"{task}  {epoch.images_per_second:,.0f} images/s  loss {epoch.loss:.3f} (val {epoch.val_loss:.3f})  "
        f"accuracy {percent(epoch.accuracy)} (val {percent(epoch.val_accuracy)})"
        + ("" if precision is None else f"  val mAP {percent(precision)}")
    )
