"""Further worker processes of a study on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from tinysight.progress import SILENT, Progress
from tinysight.training.interruption import Interruption

_GRACE_SECONDS = 30  # for a process to finish its step after SIGTERM

Hand = subprocess.Popen[bytes]


@contextmanager
def crew(
    path: Path, others: int, end: float, data_dir: Path | None, interruption: Interruption, progress: Progress = SILENT
) -> Iterator[None]:
    """Run `others` further worker processes during the block, each with as many threads as this one.

    They have exited at the end of the block: when their time is over, or earlier on interruption.

    Args:
        path: the study's directory.
        others: number of processes besides this one.
        end: their deadline, by `time.perf_counter` of this process.
        data_dir: directory of CIFAR-10, or None for the default.
        interruption: whether the user has asked to stop.
        progress: receives a notice about processes that died.
    """
    processes = [_start(path, end, data_dir) for _ in range(others)]
    try:
        yield
        for process in processes:
            _wait(process, 0 if interruption.asked else end + _GRACE_SECONDS - time.perf_counter())
        if died := sum(bool(process.poll()) for process in processes):
            progress.note(f"{died} of {others + 1} processes died early. The others completed the search.")
    finally:
        _terminate(processes)


@contextmanager
def share_of_threads(workers: int) -> Iterator[None]:
    """Divide torch's number of threads by `workers` inside the block.

    Oversubscribed cores would slow down every process many times over.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // workers))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _start(path: Path, end: float, data_dir: Path | None) -> Hand:
    wall_end = time.time() + end - time.perf_counter()
    command = [sys.executable, "-m", "tinysight.tuning.hand", str(path), repr(wall_end), str(data_dir or "")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    null = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdin=null, stdout=null, stderr=null)  # noqa: S603


def _terminate(processes: Sequence[Hand]) -> None:
    """Let the processes finish their current step, and kill those that do not exit."""
    for process in processes:
        process.terminate()
    for process in processes:
        _wait(process, _GRACE_SECONDS)
        process.kill()
        process.wait()


def _wait(process: Hand, seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, seconds))
