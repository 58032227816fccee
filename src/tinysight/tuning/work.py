"""The loop of a worker: run trials until the deadline or an interruption."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tinysight.data.dataset import Dataset
from tinysight.files import storage_errors
from tinysight.progress import SILENT, Progress
from tinysight.training.interruption import Interruption
from tinysight.tuning.record import StudyRecord
from tinysight.tuning.study import Study
from tinysight.tuning.task import Task
from tinysight.tuning.trial import Outcome, Subject, attempt

SEARCHING = 0.7  # fraction of the time for the search; the rest trains the best and the baseline with new seeds


@dataclass(frozen=True)
class Hours:
    """Start and deadline of the work, by `time.perf_counter`."""

    begin: float
    end: float

    @property
    def end_of_search(self) -> float:
        """Deadline of the trials of the search."""
        return self.begin + SEARCHING * (self.end - self.begin)


def subject_of(record: StudyRecord, dataset: Dataset) -> Subject:
    """Return the data and settings that all trials of a study share."""
    return Subject.of(dataset, record.recipe, record.seed, record.precision, record.device)


def work(study: Study, subject: Subject, hours: Hours, interruption: Interruption, progress: Progress = SILENT) -> None:
    """Run trials of the study while another one fits into the time."""
    with storage_errors(study.journal):
        while not interruption.asked and (task := _next_task(study, hours)):
            outcome = _train(study, task, subject, hours, interruption, progress)
            task.finish(outcome)
            progress.finish(_format_line(task, outcome, study.record.epochs))


def _next_task(study: Study, hours: Hours) -> Task | None:
    """Return the next training that is expected to end in time; the first trial is always started."""
    now, seconds = time.perf_counter(), study.lasting()
    if now + seconds <= hours.end_of_search or not study.trials():
        return study.search()
    if now + seconds <= hours.end:
        return study.train_again() or study.search()
    return None


def _train(
    study: Study, task: Task, subject: Subject, hours: Hours, interruption: Interruption, progress: Progress
) -> Outcome:
    recipe = study.trial_recipe(task.values)
    progress.start(task.name, recipe.training.epochs * len(subject.images.learn), "images")
    return attempt(
        subject,
        recipe,
        task.seed,
        task.report,
        lambda: interruption.asked or time.perf_counter() > hours.end,
        progress,
    )


def _format_line(task: Task, outcome: Outcome, epochs: int) -> str:
    """Return the summary line of a training; at most 80 columns unless it failed."""
    accuracy = "" if not outcome.epochs else f"validation accuracy {outcome.accuracy:.4f}, "
    length = f"{outcome.epochs} of {epochs} epochs, {outcome.seconds:.0f} s"
    match outcome.ending:
        case "finished":
            return f"{task.name}: {accuracy}{length}"
        case "pruned":
            return f"{task.name}: {accuracy}pruned after {length}"
        case "stopped":
            return f"{task.name}: stopped after {length}"
        case "failed":
            return f"{task.name}: {outcome.error}"
