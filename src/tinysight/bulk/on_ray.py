"""The engine for many machines: units as tasks of Ray, which does those of a lost worker or machine again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinysight.bulk.work import Done, Numbered, Work
from tinysight.cluster import connected, resource
from tinysight.errors import InputError, TinysightError

_AHEAD = 2  # units a core that are handed out: one in hand and one to go on with


def run(work: Work, units: Iterator[Numbered], workers: int | None) -> Iterator[Done]:
    """Do all units on the cluster that RAY_ADDRESS names, or on one of this machine alone.

    Args:
        work: what is done with each.
        units: handed out in this order, as workers become free.
        workers: how many units at a time; as many as the cluster has cores unless given.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
        TinysightError: the work failed; what is written stays, and the same command goes on from there.
    """
    with connected(workers or 1):
        yield from _run(work, units, workers)


def _run(work: Work, units: Iterator[Numbered], workers: int | None) -> Iterator[Done]:
    """Keep so many tasks going, and hand out the next unit for each that is done."""
    import ray

    shared = ray.put(work)
    # A task may be done again however often: it writes the same file.
    task = ray.remote(num_cpus=1, max_retries=-1, retry_exceptions=False)(_do)
    going: list[Any] = []
    for numbered in units:
        going.append(task.remote(shared, numbered))
        if len(going) >= (workers or _AHEAD * max(1, resource("CPU"))):
            done, going = ray.wait(going)
            yield _result(ray, done[0])
    while going:
        done, going = ray.wait(going)
        yield _result(ray, done[0])


def _do(work: Work, numbered: Numbered) -> Done:
    return work.do(numbered)


def _result(ray: Any, reference: Any) -> Done:
    try:
        result: Done = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, TinysightError):
            raise error.cause from None
        if isinstance(error.cause, ray.exceptions.RaySystemError):
            *_, reason = str(error.cause).strip().splitlines()
            raise InputError(
                f"Workers cannot begin ({reason}); is this tinysight installed on every machine?"
            ) from error
        raise
    except ray.exceptions.RayError as error:
        brief = " ".join(str(error).split())[:300]
        raise TinysightError(f"Ray lost the work ({brief}); the same command goes on from here.") from error
    return result
