"""Launcher that starts workers on this machine as torchrun does."""

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
    """Train on `count` processes of this machine; if one fails, all restart, up to `RESTARTS` times.

    Ctrl-C is forwarded to the workers as SIGTERM.

    Raises:
        WorkerLostError: workers failed more than `RESTARTS` times.
    """
    with tempfile.TemporaryDirectory() as folder, listening(_terminate_workers), _logging_disabled():
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
            signals_to_handle="SIGQUIT",  # SIGINT and SIGTERM are handled above
        )
        try:
            outcomes = elastic_launch(config, _run_process)(order)
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            raise WorkerLostError(str(failure.message)) from error
    return best_of([outcomes[rank] for rank in sorted(outcomes)])


@contextmanager
def _logging_disabled() -> Iterator[None]:
    """Disable torch's log messages about failed workers, which `run` reports itself."""
    level = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(level)


def _terminate_workers() -> None:
    for child in multiprocessing.active_children():
        child.terminate()


def _run_process(order: Order) -> Outcome:
    """Run one worker process."""
    with listening() as interruption:
        outcome = work(order, on_screen, interruption)
    restarting = interruption.asked and isinstance(outcome, WorkerLostError)  # the launcher terminated this worker
    parent = multiprocessing.parent_process()
    if restarting or parent is None or not parent.is_alive():
        raise SystemExit(1)
    return outcome
