"""Further processes of this machine that work on the same study. Whichever of them dies, the others go on."""

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

_GRACE = 30  # seconds that a process has to come to the end of its step when it is asked to stop

Hand = subprocess.Popen[bytes]


@contextmanager
def crew(
    path: Path, others: int, end: float, data_dir: Path | None, interruption: Interruption, progress: Progress = SILENT
) -> Iterator[None]:
    """Have `others` processes work on the study at `path` as well, each with as many threads as this one.

    They have come to their end when the block has: by themselves, or sooner where somebody asks to stop.

    Args:
        path: the study's folder.
        others: how many beside this one.
        end: when their time is over, by `time.perf_counter` of this process.
        data_dir: where CIFAR-10 lies, if that is to be said.
        interruption: whether somebody has asked.
        progress: told of those that died.
    """
    hands = [_start(path, end, data_dir) for _ in range(others)]
    try:
        yield
        for hand in hands:
            _wait(hand, 0 if interruption.asked else end + _GRACE - time.perf_counter())
        if died := sum(bool(hand.poll()) for hand in hands):
            progress.note(f"Of {others + 1} processes {died} died before their time; the others went on without them.")
    finally:
        _end(hands)


@contextmanager
def share_of_threads(workers: int) -> Iterator[None]:
    """Have torch use, inside the block, only this process' share of the threads that it would use alone.

    Threads of several processes that wait for each other's turn cost many times what they do.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // workers))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _start(path: Path, end: float, data_dir: Path | None) -> Hand:
    wall = time.time() + end - time.perf_counter()
    command = [sys.executable, "-m", "tinysight.tuning.hand", str(path), repr(wall), str(data_dir or "")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet)  # noqa: S603


def _end(hands: Sequence[Hand]) -> None:
    """Have them finish the step in hand, and leave none behind."""
    for hand in hands:
        hand.terminate()
    for hand in hands:
        _wait(hand, _GRACE)
        hand.kill()
        hand.wait()


def _wait(hand: Hand, seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        hand.wait(max(0.0, seconds))
