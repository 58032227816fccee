"""Prometheus metrics, aggregated over the server's processes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"  # directory of shared counters; prometheus_client reads it on import


@contextmanager
def shared() -> Iterator[None]:
    """Share counters among the processes started inside the block."""
    with tempfile.TemporaryDirectory(prefix="tinysight-") as folder:
        os.environ[_MULTIPROC_DIR] = folder
        try:
            yield
        finally:
            del os.environ[_MULTIPROC_DIR]


class Figures:
    """Counts and latencies of prediction requests."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tinysight_answers", "Prediction requests, by status", ["status"], registry=self._registry
        )
        self._seconds = Histogram("tinysight_seconds", "Latency of prediction requests", registry=self._registry)

    def count(self, status: int, seconds: float) -> None:
        """Record one request."""
        self._requests.labels(status).inc()
        self._seconds.observe(seconds)

    def text(self) -> bytes:
        """Return the metrics in Prometheus text format."""
        if _MULTIPROC_DIR not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
