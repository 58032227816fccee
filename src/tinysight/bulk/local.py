"""Local backend of batch prediction: one process per core."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool

import torch

from tinysight._util.errors import TinysightError
from tinysight._util.hardware import usable_cores
from tinysight._util.platform import children_ignore_ctrl_c
from tinysight.bulk.job import Job, NumberedShard, ShardResult

_PREFETCH = 2  # shards submitted per worker: one in progress and one queued


def run(job: Job, shards: Iterator[NumberedShard], workers: int | None) -> Iterator[ShardResult]:
    """Process all shards and yield a result for each, in order of completion.

    Args:
        job: the job.
        shards: numbered shards, submitted in this order as workers become free.
        workers: number of processes; one per core by default.

    Raises:
        TinysightError: a worker failed or was killed; results written so far stay, and a rerun resumes.
    """
    count = workers or usable_cores()
    if count == 1:
        yield from _run_inline(job, shards)
        return
    # Spawn, because torch's threads do not survive a fork.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))
    pending: set[Future[ShardResult]] = set()
    try:
        for numbered in shards:
            with children_ignore_ctrl_c():  # they finish their shard
                pending.add(pool.submit(job.run_shard, numbered))
            while len(pending) >= _PREFETCH * count:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in as_completed(pending))
    except BrokenProcessPool as error:
        raise TinysightError(
            "Prediction: a worker process was killed, perhaps for lack of memory. Rerun the same command to resume."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _run_inline(job: Job, shards: Iterator[NumberedShard]) -> Iterator[ShardResult]:
    """Process all shards in this process; restore its number of threads at the end."""
    threads = torch.get_num_threads()
    try:
        yield from map(job.run_shard, shards)
    finally:
        torch.set_num_threads(threads)
