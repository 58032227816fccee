"""Hyperparameter search from recipe and dataset to the tuned recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinysight.data.dataset import Dataset
from tinysight.memory import enough_memory, keep_freed_memory
from tinysight.progress import SILENT, Progress
from tinysight.training.clock import ENDING
from tinysight.training.interruption import listening
from tinysight.training.train import SMALLER
from tinysight.tuning.beginning import Order, begin, require_same, require_same_images
from tinysight.tuning.crew import crew, share_of_threads
from tinysight.tuning.results import write_results
from tinysight.tuning.study import Study
from tinysight.tuning.trial import Trial
from tinysight.tuning.verdict import Verdict, judge
from tinysight.tuning.work import Hours, subject_of, work

CLOSING = ENDING + 5.0  # seconds reserved for importance, plots and exit


@dataclass(frozen=True)
class Tuned:
    """The result of a search.

    Attributes:
        study: the study.
        verdict: the selected recipe and the evidence for it.
        interrupted: whether the user stopped the search before the deadline.
    """

    study: Study
    verdict: Verdict
    interrupted: bool

    def best(self, count: int) -> list[Trial]:
        """Return the `count` most accurate trials, best first; the baseline is always included."""
        finished = [trial for trial in self.study.trials() if trial.state == "finished"]
        top = sorted(finished, key=lambda trial: -trial.accuracy)[:count]
        baseline = self.verdict.start
        return [*top, *([baseline] if baseline and baseline not in top else [])]

    def told(self, trial: Trial) -> str:
        """Describe the differences of a trial from the baseline."""
        changes = self.study.space.changes(trial.values)
        return ", ".join(f"{key.split('.')[1]} {new}" for key, (_, new) in changes.items()) or "none (baseline)"


def tune(
    path: Path,
    order: Order,
    dataset: Dataset,
    minutes: float,
    begun: float,
    workers: int = 1,
    progress: Progress = SILENT,
) -> Tuned:
    """Search a recipe's hyperparameters on the validation set; the test set is not used.

    Args:
        path: the study's directory; an existing study is resumed or joined.
        order: settings of the search.
        dataset: the dataset that the settings name.
        minutes: time limit of the whole call.
        begun: start of that time, by `time.perf_counter`.
        workers: number of processes, including this one.
        progress: receives a line per trial.

    Raises:
        RunError: `path` is not a study, or one with other settings.
        TrainingError: the time is too short, or no trial finished.
        StorageError: the disk is full or read-only.
    """
    hours = Hours(begun, begun + 60 * minutes - CLOSING)
    keep_freed_memory()
    with listening() as interruption, share_of_threads(workers), enough_memory(SMALLER):
        study = Study.open(path) if Study.is_at(path) else begin(path, order, dataset, hours, workers, progress)
        require_same(study, order)
        require_same_images(study, dataset.without_test())
        subject = subject_of(study.record, dataset)
        try:
            with crew(path, workers - 1, hours.end, order.data_dir, interruption, progress), study.joined():
                work(study, subject, hours, interruption, progress)
        finally:
            progress.finish()  # removes the live bar after an error, too
        study.settle()
        verdict = judge(study)
        write_results(study, verdict, dataset.name)
        return Tuned(study, verdict, interruption.asked)
