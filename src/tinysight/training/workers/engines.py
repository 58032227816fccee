"""Launch the workers of a training, and restart them after a failure."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal

from tinysight import packages
from tinysight.errors import TrainingError, WorkerLostError
from tinysight.progress import SILENT, Progress
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.training.order import Order, carry_out
from tinysight.training.workers.group import joined
from tinysight.training.workers.work import go_on

Engine = Literal["torchrun", "ray"]
Runner = Callable[[Order, int, Progress], Summary]


def train_on(order: Order, count: int, engine: Engine | None, progress: Progress) -> Summary | None:
    """Train on `count` workers.

    Args:
        order: what to train.
        count: number of workers; ignored in a process that an external torchrun started.
        engine: what starts the workers: by default torchrun, or for one worker this process trains itself.
        progress: shows the progress of the main worker.

    Returns:
        The summary of the run, or None on the other workers of an external torchrun.

    Raises:
        TrainingError: the workers keep failing before the next checkpoint.
        InputError: the launcher is not installed, or has too few processors.
        TinysightError: see `carry_out`.
    """
    if is_worker():
        return _join(order, progress)
    if count == 1 and engine is None:
        return carry_out(order, progress)
    order.settled()  # check the arguments before starting workers
    while True:
        last_checkpoint = Run(order.path).checkpoint_time()
        try:
            return _runner(engine or "torchrun")(order, count, progress)
        except WorkerLostError as error:
            if Run(order.path).checkpoint_time() == last_checkpoint:
                raise TrainingError(
                    f"{order.path}: workers kept failing before the next checkpoint ({error}). "
                    "Check the memory use, then resume with fewer workers."
                ) from error


def is_worker() -> bool:
    """Return whether an external torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _join(order: Order, progress: Progress) -> Summary | None:
    train = go_on if int(os.environ["TORCHELASTIC_RESTART_COUNT"]) else carry_out
    with joined() as workers:
        summary = train(order, progress if workers.first else SILENT, workers)
        return summary if workers.first else None


def _runner(engine: Engine) -> Runner:
    if engine == "ray":
        packages.require("ray", "scale")
        from tinysight.training.workers.on_ray import run
    else:
        from tinysight.training.workers.torchrun import run
    return run
