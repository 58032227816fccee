"""The work on a study: one training after the other, until the time is over or somebody asks to stop."""

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

SEARCHING = 0.7  # of the time; what is left is for the best and the start with fresh seeds


@dataclass(frozen=True)
class Hours:
    """When work begins and when it has to be over, by `time.perf_counter`."""

    begin: float
    end: float

    @property
    def end_of_search(self) -> float:
        """When no further trial of the search should be under way."""
        return self.begin + SEARCHING * (self.end - self.begin)


def subject_of(record: StudyRecord, dataset: Dataset) -> Subject:
    """Return what the trials of a study work on."""
    return Subject.of(dataset, record.recipe, record.seed, record.precision, record.device)


def work(study: Study, subject: Subject, hours: Hours, interruption: Interruption, progress: Progress = SILENT) -> None:
    """Take trainings from the study and make them, as long as there is time for another."""
    with storage_errors(study.journal):
        while not interruption.asked and (task := _next(study, hours)):
            outcome = _train(study, task, subject, hours, interruption, progress)
            task.finish(outcome)
            progress.finish(_line(task, outcome, study.record.epochs))


def _next(study: Study, hours: Hours) -> Task | None:
    """Return the next training that is likely to end in time; the very first is begun in any case."""
    now, lasting = time.perf_counter(), study.lasting()
    if now + lasting <= hours.end_of_search or not study.trials():
        return study.search()
    if now + lasting <= hours.end:
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


def _line(task: Task, outcome: Outcome, epochs: int) -> str:
    """Return what remains of a training on the screen; it fits into 80 columns unless it failed."""
    accuracy = "" if not outcome.epochs else f"validation accuracy {outcome.accuracy:.4f}, "
    after = f"{outcome.epochs} of {epochs} epochs, {outcome.seconds:.0f} s"
    match outcome.ending:
        case "finished":
            return f"{task.name}: {accuracy}{after}"
        case "pruned":
            return f"{task.name}: {accuracy}given up after {after}"
        case "stopped":
            return f"{task.name}: stopped after {after}"
        case "failed":
            return f"{task.name}: {outcome.error}"
