"""Launch the workers of a training run, and restart them after a failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal

from tinysight._util import optional_deps
from tinysight._util.errors import InputError, TrainingError, WorkerLostError
from tinysight._util.progress import SILENT, Progress
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.training.distributed.process_group import join_group
from tinysight.training.distributed.worker import start_or_resume
from tinysight.training.loggers import Callback
from tinysight.training.request import TrainRequest, check, resolve
from tinysight.training.session import Session

Launcher = Literal["torchrun", "ray"]
LaunchFunction = Callable[[TrainRequest, int, Progress], Summary]


def launch_training(
    request: TrainRequest,
    count: int,
    launcher: Launcher | None,
    progress: Progress,
    callbacks: Sequence[Callback] = (),
) -> Summary | None:
    """Train on `count` workers.

    Args:
        request: what to train.
        count: number of workers; ignored in a process that an external torchrun started.
        launcher: what starts the workers: by default torchrun, or for one worker this process trains itself.
        progress: shows the progress of the main worker.
        callbacks: called in this process with the metrics of each epoch, so they need a single worker.

    Returns:
        The summary of the run, or None on the other workers of an external torchrun.

    Raises:
        TrainingError: the workers keep failing before the next checkpoint.
        InputError: the launcher is not installed or has too few processors, or callbacks are given for several workers.
        TinysightError: as for `resolve` and `Session.run`.
    """
    if is_torchrun_worker():
        return _join(request, progress)
    if count == 1 and launcher is None:
        return Session(resolve(request, progress=progress), progress=progress, callbacks=callbacks).run()
    if callbacks:
        raise InputError("callbacks: are called in this process. Use one worker, or a logger.")
    if not isinstance(request.dataset, str):
        raise InputError("workers: cannot share images in memory. Pass a folder, or use one worker.")
    check(request)  # before starting workers
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


def _join(request: TrainRequest, progress: Progress) -> Summary | None:
    is_restart = int(os.environ["TORCHELASTIC_RESTART_COUNT"]) > 0
    with join_group() as group:
        summary = start_or_resume(request, progress if group.is_main else SILENT, group, is_restart=is_restart)
        return summary if group.is_main else None


def _runner(launcher: Launcher) -> LaunchFunction:
    if launcher == "ray":
        optional_deps.require("ray", "scale")
        from tinysight.training.distributed.ray_train import launch
    else:
        from tinysight.training.distributed.torchrun import launch
    return launch
