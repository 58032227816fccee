"""The Ray cluster that work is handed to: the one that RAY_ADDRESS names, or one of this machine alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tinysight import packages
from tinysight.errors import InputError
from tinysight.machine import usable_cores

_STORE = 100_000_000  # bytes for what Ray's own processes hand to each other; images do not go this way


@contextmanager
def connected(workers: int = 1) -> Iterator[None]:
    """Be connected inside the block; whoever is connected already stays so.

    Args:
        workers: how many a cluster of this machine must have room for.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """
    packages.require("ray", extra="scale")
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves this machine that nobody asked for
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if "RAY_ADDRESS" in os.environ:
            ray.init(**quiet)
        else:
            cores = max(workers, usable_cores())
            ray.init("local", num_cpus=cores, include_dashboard=False, object_store_memory=_STORE, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        address = os.environ.get("RAY_ADDRESS", "this machine")
        raise InputError(f"Ray at {address} cannot be reached ({error}); does its head node run?") from error
    try:
        yield
    finally:
        ray.shutdown()


def resource(name: str) -> int:
    """Return how many of something, such as "CPU", the cluster has just now: machines come and go."""
    import ray

    resources: dict[str, float] = ray.cluster_resources()
    return int(resources.get(name, 0))
