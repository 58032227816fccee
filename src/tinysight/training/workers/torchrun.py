"""The engine that comes with torch: what `torchrun` does, for processes on this machine."""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from tinysight.errors import WorkerLostError
from tinysight.progress import Progress
from tinysight.runs.records import Summary
from tinysight.screen.console import progress as on_screen
from tinysight.training.interruption import listening
from tinysight.training.order import Order
from tinysight.training.workers.work import Outcome, best_of, work

RESTARTS = 3


def run(order: Order, count: int, progress: Progress) -> Summary:
    """Train on `count` processes of this machine, and start all of them anew when one is lost.

    Ctrl-C is passed on to them as the polite kill.

    Raises:
        WorkerLostError: they were lost again and again.
    """
    with tempfile.TemporaryDirectory() as folder, listening(_stop_all), _unlogged():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=RESTARTS,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle="SIGQUIT",  # the others are handled above
        )
        try:
            outcomes = elastic_launch(config, _work)(order)
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            raise WorkerLostError(str(failure.message)) from error
    return best_of([outcomes[rank] for rank in sorted(outcomes)])


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep torch from logging what is told here in a sentence."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)


def _stop_all() -> None:
    for child in multiprocessing.active_children():
        child.terminate()


def _work(order: Order) -> Outcome:
    """Be one of the processes."""
    with listening() as interruption:
        outcome = work(order, on_screen, interruption)
    ending = interruption.asked and isinstance(outcome, WorkerLostError)  # the engine is about to start all anew
    parent = multiprocessing.parent_process()
    if ending or parent is None or not parent.is_alive():
        raise SystemExit(1)
    return outcome
