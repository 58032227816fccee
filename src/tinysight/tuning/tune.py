"""Tuning from beginning to end: a recipe, images and some minutes go in, a folder with a better recipe comes out."""

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

CLOSING = ENDING + 5.0  # seconds that what mattered, the plots and leaving Python take


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Attributes:
        study: the folder with everything that was found.
        interrupted: whether somebody asked to stop before the time was over.
    """

    study: Study
    verdict: Verdict
    interrupted: bool

    def best(self, count: int) -> list[Trial]:
        """Return the trials of the search that came furthest, best first, and the recipe as it was wherever it came."""
        ended = [trial for trial in self.study.trials() if trial.state == "finished"]
        first = sorted(ended, key=lambda trial: -trial.accuracy)[:count]
        start = self.verdict.start
        return [*first, *([start] if start and start not in first else [])]

    def told(self, trial: Trial) -> str:
        """Say what a trial differs in from the recipe as it was."""
        changes = self.study.space.changes(trial.values)
        return ", ".join(f"{key.split('.')[1]} {new}" for key, (_, new) in changes.items()) or "nothing"


def tune(
    path: Path,
    order: Order,
    dataset: Dataset,
    minutes: float,
    begun: float,
    workers: int = 1,
    progress: Progress = SILENT,
) -> Tuned:
    """Look for values of a recipe that come further on the validation images; the test images are left alone.

    Args:
        path: the study's folder; one that is there is gone on with.
        order: what to tune.
        dataset: the images that the order names.
        minutes: how long all of it may take.
        begun: when these minutes began, by `time.perf_counter`.
        workers: processes that share the work, this one included.
        progress: told about every trial.

    Raises:
        RunError: `path` is in use by something else, or the study of something else.
        TrainingError: the time is too short, or no trial came to its end.
        StorageError: the disk is full or read-only.
    """
    hours, blind = Hours(begun, begun + 60 * minutes - CLOSING), dataset.without_test()
    keep_freed_memory()
    with listening() as interruption, share_of_threads(workers), enough_memory(SMALLER):
        study = Study.open(path) if Study.is_at(path) else begin(path, order, dataset, hours, workers, progress)
        require_same(study, order)
        require_same_images(study, blind)
        subject = subject_of(study.record, dataset)
        try:
            with crew(path, workers - 1, hours.end, order.data_dir, interruption, progress), study.joined():
                work(study, subject, hours, interruption, progress)
        finally:
            progress.finish()  # no error may leave a live bar behind
        study.settle()
        verdict = judge(study)
        write_results(study, verdict, dataset.name)
        return Tuned(study, verdict, interruption.asked)
