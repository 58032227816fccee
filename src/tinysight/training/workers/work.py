"""What each of the processes does that an engine starts: its part of an order, again and again until it is done."""

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
    """Train as one worker of the group in the environment, and go on where workers before this one left a run.

    What goes wrong is returned and not raised: engines start anew whoever raises, and that mends no recipe.

    Raises:
        WorkerLostError: the group never came together; that is for the engine to mend.
    """
    with joined() as workers:
        try:
            return go_on(order, progress if workers.first else SILENT, workers, interruption)
        except TinysightError as error:
            return error


def best_of(outcomes: list[Outcome]) -> Summary:
    """Return the summary of a training, or raise why there is none: the error by which the others lost a worker."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, TinysightError)]
    for error in sorted(errors, key=lambda error: isinstance(error, WorkerLostError)):
        raise error
    return next(outcome for outcome in outcomes if isinstance(outcome, Summary))


def go_on(order: Order, progress: Progress, workers: Workers, interruption: Interruption | None = None) -> Summary:
    """Begin the run, or go on with what workers before have left of it; what is at `path` must be theirs."""
    begun = workers.of_first(lambda: not Run.is_vacant(order.path))
    if begun and not order.resume:
        summary = workers.of_first(Run(order.path).summary)
        if summary.status == "finished":  # and only then a worker was lost
            return summary
        progress.note("A worker was lost: all of them start again, from the last checkpoint.")
    return carry_out(replace(order, resume=order.resume or begun), progress, workers, interruption)
