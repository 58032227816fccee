"""Worker process: joins the group and starts or resumes the training."""

from __future__ import annotations

from dataclasses import replace

from tinysight.errors import TinysightError, WorkerLostError
from tinysight.progress import SILENT, Progress
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.training.interruption import Interruption
from tinysight.training.order import Order, carry_out
from tinysight.training.workers.group import Workers, joined

Outcome = Summary | TinysightError


def work(order: Order, progress: Progress, interruption: Interruption) -> Outcome:
    """Train as one worker of the group that the environment variables describe.

    Errors are returned, since launchers restart a worker that raises, and a restart does not fix a wrong recipe.

    Raises:
        WorkerLostError: the group could not be formed; the launcher restarts the workers.
    """
    with joined() as workers:
        try:
            return go_on(order, progress if workers.first else SILENT, workers, interruption)
        except TinysightError as error:
            return error


def best_of(outcomes: list[Outcome]) -> Summary:
    """Return the summary, or raise the first error; WorkerLostError only if there is no other."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, TinysightError)]
    for error in sorted(errors, key=lambda error: isinstance(error, WorkerLostError)):
        raise error
    return next(outcome for outcome in outcomes if isinstance(outcome, Summary))


def go_on(order: Order, progress: Progress, workers: Workers, interruption: Interruption | None = None) -> Summary:
    """Start the run, or resume it if earlier workers started it; the directory must be empty or theirs."""
    exists = workers.of_first(lambda: not Run.is_vacant(order.path))
    if exists and not order.resume:
        summary = workers.of_first(Run(order.path).summary)
        if summary.status == "finished":  # the worker failed afterwards
            return summary
        progress.note("A worker failed: restarting all workers from the last checkpoint.")
    return carry_out(replace(order, resume=order.resume or exists), progress, workers, interruption)
