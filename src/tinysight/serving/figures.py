"""What /metrics tells, of every process of the server together."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SHARED = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client keeps what several processes count; read on its import


@contextmanager
def shared() -> Iterator[None]:
    """Let the processes that are started within the block count together."""
    with tempfile.TemporaryDirectory(prefix="tinysight-") as folder:
        os.environ[_SHARED] = folder
        try:
            yield
        finally:
            del os.environ[_SHARED]


class Figures:
    """Counts requests for answers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        said = "Requests for answers, by status"
        self._answers = Counter("tinysight_answers", said, ["status"], registry=self._registry)
        self._seconds = Histogram("tinysight_seconds", "From request to answer", registry=self._registry)

    def count(self, status: int, seconds: float) -> None:
        """Add one."""
        self._answers.labels(status).inc()
        self._seconds.observe(seconds)

    def text(self) -> bytes:
        """Return them in the format of Prometheus."""
        if _SHARED not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
