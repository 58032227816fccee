"""Launch the workers of a training, and restart them after a failure."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal

from tinysight._util import optional_deps
from tinysight._util.errors import TrainingError, WorkerLostError
from tinysight._util.progress import SILENT, Progress
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.training.distributed.process_group import join_group
from tinysight.training.distributed.worker import start_or_resume
from tinysight.training.request import TrainRequest, run_request

Launcher = Literal["torchrun", "ray"]
LaunchFunction = Callable[[TrainRequest, int, Progress], Summary]


def launch_training(request: TrainRequest, count: int, launcher: Launcher | None, progress: Progress) -> Summary | None:
    """Train on `count` workers.

    Args:
        request: what to train.
        count: number of workers; ignored in a process that an external torchrun started.
        launcher: what starts the workers: by default torchrun, or for one worker this process trains itself.
        progress: shows the progress of the main worker.

    Returns:
        The summary of the run, or None on the other workers of an external torchrun.

    Raises:
        TrainingError: the workers keep failing before the next checkpoint.
        InputError: the launcher is not installed, or has too few processors.
        TinysightError: see `carry_out`.
    """
    if is_torchrun_worker():
        return _join(request, progress)
    if count == 1 and launcher is None:
        return run_request(request, progress)
    request.resolve_settings()  # check the arguments before starting workers
    while True:
        last_checkpoint = Run(request.path).checkpoint_mtime()
        try:
            return _runner(launcher or "torchrun")(request, count, progress)
        except WorkerLostError as error:
            if Run(request.path).checkpoint_mtime() == last_checkpoint:
                raise TrainingError(
                    f"{request.path}: workers kept failing before the next checkpoint ({error}). "
                    "Check the memory use, then resume with fewer workers."
                ) from error


def is_torchrun_worker() -> bool:
    """Return whether an external torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _join(order: TrainRequest, progress: Progress) -> Summary | None:
    train = start_or_resume if int(os.environ["TORCHELASTIC_RESTART_COUNT"]) else run_request
    with join_group() as workers:
        summary = train(order, progress if workers.is_main else SILENT, workers)
        return summary if workers.is_main else None


def _runner(engine: Launcher) -> LaunchFunction:
    if engine == "ray":
        optional_deps.require("ray", "scale")
        from tinysight.training.distributed.ray_train import launch
    else:
        from tinysight.training.distributed.torchrun import launch
    return launch
