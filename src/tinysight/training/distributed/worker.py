"""Worker process: joins the group and starts or resumes the training."""

from __future__ import annotations

from dataclasses import replace

from tinysight._util.errors import TinysightError, WorkerLostError
from tinysight._util.progress import SILENT, Progress
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.training.distributed.process_group import ProcessGroup, join_group
from tinysight.training.request import TrainRequest, resolve
from tinysight.training.session import Session
from tinysight.training.signals import StopRequest

WorkerResult = Summary | TinysightError


def run_worker(request: TrainRequest, progress: Progress, stop_request: StopRequest) -> WorkerResult:
    """Train as one worker of the group that the environment variables describe.

    Errors are returned, since launchers restart a worker that raises, and a restart does not fix a wrong recipe.

    Raises:
        WorkerLostError: the group could not be formed; the launcher restarts the workers.
    """
    with join_group() as workers:
        try:
            return start_or_resume(request, progress if workers.is_main else SILENT, workers, stop_request)
        except TinysightError as error:
            return error


def first_success(results: list[WorkerResult]) -> Summary:
    """Return the summary, or raise the first error; WorkerLostError only if there is no other."""
    errors = [outcome for outcome in results if isinstance(outcome, TinysightError)]
    for error in sorted(errors, key=lambda error: isinstance(error, WorkerLostError)):
        raise error
    return next(outcome for outcome in results if isinstance(outcome, Summary))


def start_or_resume(
    request: TrainRequest,
    progress: Progress,
    group: ProcessGroup,
    stop_request: StopRequest | None = None,
    is_restart: bool = True,
) -> Summary:
    """Start the run, or after a restart resume it if earlier workers started it in its directory."""
    exists = is_restart and group.run_on_main(lambda: not Run.is_available(request.path))
    if exists and not request.resume:
        summary = group.run_on_main(Run(request.path).summary)
        if summary.status == "finished":  # the worker failed afterwards
            return summary
        progress.note("A worker failed: restarting all workers from the last checkpoint.")
    request = replace(request, resume=request.resume or exists)
    return Session(resolve(request, group, progress), group, progress, stop_request).run()
