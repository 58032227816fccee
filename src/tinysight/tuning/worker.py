"""The loop of a worker: run trials until the deadline or an interruption."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from tinysight._util.allocator import tune_malloc
from tinysight._util.files import storage_errors
from tinysight._util.formatting import percent
from tinysight._util.platform import NEW_PROCESS_GROUP, request_stop
from tinysight._util.progress import SILENT, Progress
from tinysight._util.timing import Deadline
from tinysight.data import load
from tinysight.data.arrange import arrange
from tinysight.data.dataset import Dataset
from tinysight.training.signals import StopRequest, catch_signals
from tinysight.tuning.study import Study, StudyRecord
from tinysight.tuning.trial import TrialContext, TrialResult, TrialTask, train_trial

SEARCH_FRACTION = 0.7  # fraction of the time for the search; the rest trains the best and the baseline with new seeds


def trial_context(record: StudyRecord, dataset: Dataset) -> TrialContext:
    """Return the data and settings that all trials of a study share."""
    return TrialContext.create(dataset, record.recipe, record.seed, record.precision, record.device)


def run_trials(
    study: Study, context: TrialContext, deadline: Deadline, interruption: StopRequest, progress: Progress = SILENT
) -> None:
    """Run trials of the study while another one fits into the time."""
    with storage_errors(study.journal_path):
        while not interruption.requested and (task := _next_task(study, deadline)):
            result = _train(study, task, context, deadline, interruption, progress)
            task.finish(result)
            progress.finish(_format_line(task, result, study.record))


def _next_task(study: Study, deadline: Deadline) -> TrialTask | None:
    """Return the next training that is expected to end in time; the first trial is always started."""
    seconds = study.median_trial_seconds()
    if deadline.part(SEARCH_FRACTION).allows(seconds) or not study.trials():
        return study.next_trial()
    if deadline.allows(seconds):
        return study.next_reseeded() or study.next_trial()
    return None


def _train(
    study: Study,
    task: TrialTask,
    context: TrialContext,
    deadline: Deadline,
    interruption: StopRequest,
    progress: Progress,
) -> TrialResult:
    recipe = study.trial_recipe(task.values)
    progress.start(task.name, recipe.training.epochs * len(context.split.train_indices), "images")
    return train_trial(
        context,
        recipe,
        task.seed,
        task.report,
        lambda: interruption.requested or deadline.passed,
        progress,
    )


def _format_line(task: TrialTask, result: TrialResult, record: StudyRecord) -> str:
    """Return the summary line of a trial; at most 80 columns unless it failed."""
    score = "" if not result.epochs else f"validation {record.short_measure} {percent(result.score)}, "
    length = f"{result.epochs} of {record.epochs} epochs, {result.seconds:.0f} s"
    match result.ending:
        case "finished":
            return f"{task.name}: {score}{length}"
        case "pruned":
            return f"{task.name}: {score}pruned after {length}"
        case "stopped":
            return f"{task.name}: stopped after {length}"
        case "failed":
            return f"{task.name}: {result.error}"


_GRACE_SECONDS = 30  # for a process to finish its step after a request to stop

WorkerProcess = subprocess.Popen[bytes]


@contextmanager
def worker_processes(
    path: Path,
    others: int,
    deadline: Deadline,
    data_dir: Path | None,
    interruption: StopRequest,
    progress: Progress = SILENT,
) -> Iterator[None]:
    """Run `others` further worker processes during the block, each with as many threads as this one.

    They have exited at the end of the block: when their time is over, or earlier on interruption.

    Args:
        path: the study's directory.
        others: number of processes besides this one.
        deadline: when they stop.
        data_dir: directory of CIFAR-10, or None for the default.
        interruption: whether the user has asked to stop.
        progress: receives a notice about processes that died.
    """
    processes = [_start(path, deadline, data_dir) for _ in range(others)]
    try:
        yield
        for process in processes:
            _wait(process, 0 if interruption.requested else deadline.remaining() + _GRACE_SECONDS)
        if died := sum(bool(process.poll()) for process in processes):
            progress.note(f"{died} of {others + 1} processes died early. The others completed the search.")
    finally:
        _terminate(processes)


@contextmanager
def divided_threads(workers: int) -> Iterator[None]:
    """Divide torch's number of threads by `workers` inside the block.

    Oversubscribed cores would slow down every process many times over.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // workers))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _start(path: Path, deadline: Deadline, data_dir: Path | None) -> WorkerProcess:
    settings = {"study": str(path), "end": deadline.wall_end, "data_dir": data_dir and str(data_dir)}
    command = [sys.executable, "-m", "tinysight.tuning.worker", json.dumps(settings)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    null = subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603
        command, env=environment, stdin=null, stdout=null, stderr=null, creationflags=NEW_PROCESS_GROUP
    )


def _terminate(processes: Sequence[WorkerProcess]) -> None:
    """Let the processes finish their current step, and kill those that do not exit."""
    for process in processes:
        request_stop(process)
    for process in processes:
        _wait(process, _GRACE_SECONDS)
        process.kill()
        process.wait()


def _wait(process: WorkerProcess, seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, seconds))


def main() -> None:
    """Run trials of a study; the only argument is the JSON document of `_start`."""
    settings = json.loads(sys.argv[1])
    deadline = Deadline.at_wall_time(settings["end"])
    tune_malloc()
    with catch_signals() as interruption:
        study = Study.open(Path(settings["study"]))
        record = study.record
        cifar_dir = Path(settings["data_dir"]) if settings["data_dir"] else None
        loaded = load.load(record.argument, record.recipe.data.image_size, cifar_dir, record.skip_unreadable)
        dataset = arrange(loaded, record.recipe.data)
        with study.join():
            run_trials(study, trial_context(record, dataset), deadline, interruption)


if __name__ == "__main__":
    main()
