"""Connection to a Ray cluster: the one at RAY_ADDRESS, or a local one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tinysight._util import optional_deps
from tinysight._util.errors import InputError
from tinysight._util.hardware import usable_cores

_OBJECT_STORE_BYTES = 100_000_000  # for Ray's own messages; images do not pass through the object store


@contextmanager
def ray_session(workers: int = 1) -> Iterator[None]:
    """Connect to Ray inside the block; an existing connection is reused and stays open.

    Args:
        workers: minimum number of cores of a local cluster.

    Raises:
        InputError: Ray is not installed, or the cluster is not reachable.
    """
    optional_deps.require("ray", extra="scale")
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # sends no usage statistics unless the user enables them
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if "RAY_ADDRESS" in os.environ:
            ray.init(**quiet)
        else:
            cores = max(workers, usable_cores())
            ray.init("local", num_cpus=cores, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        address = os.environ.get("RAY_ADDRESS", "this machine")
        raise InputError(f"Ray at {address}: is not reachable ({error}). Check that its head node runs.") from error
    try:
        yield
    finally:
        ray.shutdown()


def cluster_resource(name: str) -> int:
    """Return the cluster's current amount of a resource such as "CPU"; machines may join or leave."""
    import ray

    resources: dict[str, float] = ray.cluster_resources()
    return int(resources.get(name, 0))
