"""Who starts the workers of a training, and starts them anew when one is lost."""

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
    """Train on `count` workers that `engine` starts; by default torchrun, or nobody if there is one worker.

    A process that somebody else's torchrun has started is one of its workers.

    Returns:
        What became of the run, to all but those of somebody else's workers that do not keep it.

    Raises:
        TrainingError: workers are lost faster than they come to another checkpoint.
        InputError: the engine is not installed, or has too few processors.
        TinysightError: what `carry_out` raises.
    """
    if is_worker():
        return _join(order, progress)
    if count == 1 and engine is None:
        return carry_out(order, progress)
    order.settled()  # what can be refused, is refused before anything is started
    while True:
        before = Run(order.path).checkpoint_time()
        try:
            return _runner(engine or "torchrun")(order, count, progress)
        except WorkerLostError as error:
            if Run(order.path).checkpoint_time() == before:
                raise TrainingError(
                    f"Workers of this training were lost again and again without coming to another checkpoint ({error})"
                    "; see whether there is enough memory for so many, and go on by --resume."
                ) from error


def is_worker() -> bool:
    """Return whether somebody else's torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _join(order: Order, progress: Progress) -> Summary | None:
    take_up = go_on if int(os.environ["TORCHELASTIC_RESTART_COUNT"]) else carry_out
    with joined() as workers:
        summary = take_up(order, progress if workers.first else SILENT, workers)
        return summary if workers.first else None


def _runner(engine: Engine) -> Runner:
    if engine == "ray":
        packages.require("ray", "scale")
        from tinysight.training.workers.on_ray import run
    else:
        from tinysight.training.workers.torchrun import run
    return run
