"""Hyperparameter search from recipe and dataset to the tuned recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinysight._util.allocator import translate_oom, tune_malloc
from tinysight._util.progress import SILENT, Progress
from tinysight._util.timing import Deadline
from tinysight.data.dataset import Dataset
from tinysight.training.budget import EXIT_SECONDS
from tinysight.training.session import OOM_ADVICE
from tinysight.training.signals import catch_signals
from tinysight.tuning.results import write_results
from tinysight.tuning.selection import Selection, select_best
from tinysight.tuning.setup import TuneRequest, check_same_images, check_same_settings, create_study
from tinysight.tuning.study import Study
from tinysight.tuning.trial import Trial
from tinysight.tuning.worker import divided_threads, run_trials, trial_context, worker_processes

CLOSING_SECONDS = EXIT_SECONDS + 5.0  # seconds reserved for importance, plots and exit


@dataclass(frozen=True)
class TuneResult:
    """The result of a search.

    Attributes:
        study: the study.
        selection: the selected recipe and the evidence for it.
        interrupted: whether the user stopped the search before the deadline.
    """

    study: Study
    selection: Selection
    interrupted: bool

    def top_trials(self, count: int) -> list[Trial]:
        """Return the `count` trials with the highest scores, best first; the baseline is always included."""
        finished = [trial for trial in self.study.trials() if trial.state == "finished"]
        top = sorted(finished, key=lambda trial: -trial.score)[:count]
        baseline = self.selection.baseline
        return [*top, *([baseline] if baseline and baseline not in top else [])]

    def describe_changes(self, trial: Trial) -> str:
        """Describe the differences of a trial from the baseline."""
        changes = self.study.space.changes(trial.values)
        return ", ".join(f"{key.split('.')[1]} {new}" for key, (_, new) in changes.items()) or "none (baseline)"


def tune(
    path: Path,
    request: TuneRequest,
    dataset: Dataset,
    minutes: float,
    start: float,
    workers: int = 1,
    progress: Progress = SILENT,
) -> TuneResult:
    """Search a recipe's hyperparameters on the validation set; the test set is not used.

    Args:
        path: the study's directory; an existing study is resumed or joined.
        request: settings of the search.
        dataset: the dataset that the settings name.
        minutes: time limit of the whole call.
        start: start of that time, by `time.perf_counter`.
        workers: number of processes, including this one.
        progress: receives a line per trial.

    Raises:
        RunError: `path` is not a study, or one with other settings.
        TrainingError: the time is too short, or no trial finished.
        StorageError: the disk is full or read-only.
    """
    deadline = Deadline.after(minutes, start).earlier(CLOSING_SECONDS)
    tune_malloc()
    with catch_signals() as interruption, divided_threads(workers), translate_oom(OOM_ADVICE):
        study = (
            Study.open(path)
            if Study.exists_at(path)
            else create_study(path, request, dataset, deadline, workers, progress)
        )
        check_same_settings(study, request)
        check_same_images(study, dataset.without_test())
        context = trial_context(study.record, dataset)
        try:
            with (
                worker_processes(path, workers - 1, deadline, request.data_dir, interruption, progress),
                study.join(),
            ):
                run_trials(study, context, deadline, interruption, progress)
        finally:
            progress.finish()  # removes the live bar after an error, too
        study.fail_orphans()
        selection = select_best(study.trials(), study.reseeded_trials(), study.baseline)
        write_results(study, selection, dataset.name)
        return TuneResult(study, selection, interruption.requested)
