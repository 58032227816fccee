"""The engine for one machine: a process a core."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

from tinysight.bulk.work import Done, Numbered, Work
from tinysight.errors import TinysightError
from tinysight.machine import usable_cores

_AHEAD = 2  # units a worker that are handed out: one in hand and one to go on with


def run(work: Work, units: Iterator[Numbered], workers: int | None) -> Iterator[Done]:
    """Do all units, and yield what came of each.

    Args:
        work: what is done with each.
        units: handed out in this order, as workers become free.
        workers: how many processes; one a core unless given.

    Raises:
        TinysightError: a worker failed, or was lost; what is written stays, and the same command goes on from there.
    """
    count = workers or usable_cores()
    if count == 1:
        yield from _here(work, units)
        return
    # Not a fork: torch's threads do not live through one.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))
    going: set[Future[Done]] = set()
    try:
        for numbered in units:
            with _deaf_to_interrupts():
                going.add(pool.submit(work.do, numbered))
            while len(going) >= _AHEAD * count:
                done, going = wait(going, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in as_completed(going))
    except BrokenProcessPool as error:
        raise TinysightError(
            "A process that predicts was killed, perhaps for want of memory; the same command goes on from here."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _here(work: Work, units: Iterator[Numbered]) -> Iterator[Done]:
    """Do all units in this process, and leave its threads as they were."""
    threads = torch.get_num_threads()
    try:
        yield from map(work.do, units)
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Have processes that are started in the block leave Ctrl-C to this one: what they have in hand is finished."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
