"""Executors of batch prediction: this process, processes of this machine, or a Ray cluster."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, Protocol

import torch

from tinysight._util.errors import InputError, TinysightError
from tinysight._util.hardware import usable_cores
from tinysight._util.platform import children_ignore_ctrl_c
from tinysight._util.ray_utils import cluster_resource, ray_session
from tinysight.bulk.job import Job, NumberedShard, ShardResult

BatchEngine = Literal["local", "ray"]

_PREFETCH = 2  # shards submitted per worker: one in progress and one queued


class Executor(Protocol):
    """Runs the shards of one job."""

    @property
    def capacity(self) -> int:
        """Number of shards that keeps all workers busy; it may change."""

    def submit(self, shard: NumberedShard) -> None:
        """Start a shard, or queue it."""

    def next_result(self) -> ShardResult:
        """Wait for any of the submitted shards, and return its result.

        Raises:
            TinysightError: the shard failed, or a worker was lost; the same call of `batch_predict` resumes.
        """


def run_shards(executor: Executor, shards: Iterator[NumberedShard]) -> Iterator[ShardResult]:
    """Yield a result for each shard, in order of completion; iterate over `shards` only as workers become free."""
    pending = 0
    for shard in shards:
        executor.submit(shard)
        pending += 1
        while pending >= executor.capacity:
            yield executor.next_result()
            pending -= 1
    for _ in range(pending):
        yield executor.next_result()


class _InlineExecutor:
    """Runs shards in this process, each when its result is requested."""

    capacity = 1

    def __init__(self, job: Job) -> None:
        self._job, self._queue = job, deque[NumberedShard]()

    def submit(self, shard: NumberedShard) -> None:
        """Queue a shard."""
        self._queue.append(shard)

    def next_result(self) -> ShardResult:
        """Run the oldest shard."""
        return self._job.run_shard(self._queue.popleft())


class _PoolExecutor:
    """Runs shards in a pool of local processes."""

    def __init__(self, job: Job, pool: ProcessPoolExecutor, workers: int) -> None:
        self._job, self._pool, self.capacity = job, pool, _PREFETCH * workers
        self._pending: set[Future[ShardResult]] = set()

    def submit(self, shard: NumberedShard) -> None:
        """Queue a shard for the next free process."""
        with children_ignore_ctrl_c():  # they finish their shard
            self._pending.add(self._pool.submit(self._job.run_shard, shard))

    def next_result(self) -> ShardResult:
        """Wait for any shard."""
        done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
        future = done.pop()
        self._pending.remove(future)
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise _lost("a worker process was killed, perhaps for lack of memory") from error


@contextmanager
def _local_executor(job: Job, workers: int | None) -> Iterator[Executor]:
    """Open an executor with `workers` processes, by default one per core; one worker is this process itself."""
    count = workers or usable_cores()
    if count == 1:
        threads = torch.get_num_threads()
        try:
            yield _InlineExecutor(job)
        finally:
            torch.set_num_threads(threads)  # the job sets it
        return
    # Spawn, because torch's threads do not survive a fork.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))
    try:
        yield _PoolExecutor(job, pool, count)
    finally:
        pool.shutdown(cancel_futures=True)


class _RayExecutor:
    """Runs shards as Ray tasks of one core; Ray retries those of lost workers."""

    def __init__(self, job: Job, workers: int | None) -> None:
        import ray

        self._ray, self._job, self._workers = ray, ray.put(job), workers
        # Unlimited retries are safe: a shard always writes the same file.
        self._task = ray.remote(num_cpus=1, max_retries=-1, retry_exceptions=False)(_run_shard)
        self._pending: list[Any] = []

    @property
    def capacity(self) -> int:
        """The given number of shards, or two per core of the cluster; machines may join or leave."""
        return self._workers or _PREFETCH * max(1, cluster_resource("CPU"))

    def submit(self, shard: NumberedShard) -> None:
        """Queue a shard on the cluster."""
        self._pending.append(self._task.remote(self._job, shard))

    def next_result(self) -> ShardResult:
        """Wait for any shard."""
        (done, *_), self._pending = self._ray.wait(self._pending)
        errors = self._ray.exceptions
        try:
            result: ShardResult = self._ray.get(done)
        except errors.RayTaskError as error:
            if isinstance(error.cause, TinysightError):
                raise error.cause from None
            if isinstance(error.cause, errors.RaySystemError):
                *_, reason = str(error.cause).strip().splitlines()
                raise InputError(
                    f"Ray workers: cannot start ({reason}). Install this version of tinysight on every machine."
                ) from error
            raise
        except errors.RayError as error:
            raise _lost("Ray lost the job: " + " ".join(str(error).split())[:300]) from error
        return result


@contextmanager
def _ray_executor(job: Job, workers: int | None) -> Iterator[Executor]:
    """Open an executor on the cluster at RAY_ADDRESS, or on a local one.

    Raises:
        InputError: Ray is not installed, or the cluster is not reachable.
    """
    with ray_session(workers or 1):
        yield _RayExecutor(job, workers)


def _run_shard(job: Job, shard: NumberedShard) -> ShardResult:
    return job.run_shard(shard)


def _lost(reason: str) -> TinysightError:
    return TinysightError(f"Prediction: interrupted ({reason}). Run it again to resume.")


EXECUTORS: dict[BatchEngine, Callable[[Job, int | None], AbstractContextManager[Executor]]] = {
    "local": _local_executor,
    "ray": _ray_executor,
}
