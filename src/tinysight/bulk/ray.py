"""Ray backend of batch prediction; Ray retries the shards of lost workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinysight._util.errors import InputError, TinysightError
from tinysight._util.ray_utils import cluster_resource, ray_session
from tinysight.bulk.job import Job, NumberedShard, ShardResult

_PREFETCH = 2  # shards submitted per core: one in progress and one queued


def run(job: Job, shards: Iterator[NumberedShard], workers: int | None) -> Iterator[ShardResult]:
    """Process all shards on the cluster at RAY_ADDRESS, or on a local one.

    Args:
        job: the job.
        shards: numbered shards, submitted in this order as workers become free.
        workers: maximum number of shards in flight; two per core by default.

    Raises:
        InputError: Ray is not installed, or the cluster is not reachable.
        TinysightError: a shard failed; results written so far stay, and a rerun resumes.
    """
    with ray_session(workers or 1):
        yield from _run(job, shards, workers)


def _run(job: Job, shards: Iterator[NumberedShard], workers: int | None) -> Iterator[ShardResult]:
    """Keep the number of tasks constant: submit the next shard when one is done."""
    import ray

    shared = ray.put(job)
    # Unlimited retries are safe: a shard always writes the same file.
    task = ray.remote(num_cpus=1, max_retries=-1, retry_exceptions=False)(_run_shard)
    pending: list[Any] = []
    for numbered in shards:
        pending.append(task.remote(shared, numbered))
        if len(pending) >= (workers or _PREFETCH * max(1, cluster_resource("CPU"))):
            done, pending = ray.wait(pending)
            yield _result(ray, done[0])
    while pending:
        done, pending = ray.wait(pending)
        yield _result(ray, done[0])


def _run_shard(job: Job, numbered: NumberedShard) -> ShardResult:
    return job.run_shard(numbered)


def _result(ray: Any, reference: Any) -> ShardResult:
    try:
        result: ShardResult = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, TinysightError):
            raise error.cause from None
        if isinstance(error.cause, ray.exceptions.RaySystemError):
            *_, reason = str(error.cause).strip().splitlines()
            raise InputError(
                f"Ray workers: cannot start ({reason}). Install this version of tinysight on every machine."
            ) from error
        raise
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:300]
        raise TinysightError(f"Ray: lost the job ({reason}). Rerun the same command to resume.") from error
    return result
