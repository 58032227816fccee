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

from tinysight._util.console import progress as on_screen
from tinysight._util.errors import WorkerLostError
from tinysight._util.progress import Progress
from tinysight.runs.records import Summary
from tinysight.training.distributed.worker import WorkerResult, first_success, run_worker
from tinysight.training.request import TrainRequest
from tinysight.training.signals import catch_signals

MAX_RESTARTS = 3


def launch(request: TrainRequest, count: int, progress: Progress) -> Summary:
    """Train on `count` processes of this machine; if one fails, all restart, up to `MAX_RESTARTS` times.

    Ctrl-C is forwarded to the workers as SIGTERM.

    Raises:
        WorkerLostError: workers failed more than `MAX_RESTARTS` times.
    """
    with tempfile.TemporaryDirectory() as folder, catch_signals(_terminate_workers), _logging_disabled():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=MAX_RESTARTS,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle="SIGQUIT",  # SIGINT and SIGTERM are handled above
        )
        try:
            outcomes = elastic_launch(config, _run_process)(request)
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            raise WorkerLostError(str(failure.message)) from error
    return first_success([outcomes[rank] for rank in sorted(outcomes)])


@contextmanager
def _logging_disabled() -> Iterator[None]:
    """Disable torch's log messages about failed workers, which `launch` reports itself."""
    level = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(level)


def _terminate_workers() -> None:
    for child in multiprocessing.active_children():
        child.terminate()


def _run_process(order: TrainRequest) -> WorkerResult:
    """Run one worker process."""
    with catch_signals() as interruption:
        outcome = run_worker(order, on_screen, interruption)
    restarting = interruption.requested and isinstance(outcome, WorkerLostError)  # the launcher terminated this worker
    parent = multiprocessing.parent_process()
    if restarting or parent is None or not parent.is_alive():
        raise SystemExit(1)
    return outcome
