"""Prediction service: admission control, timeouts, decoding, batching."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from fastapi import HTTPException, Request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from tinysight._util.errors import ImageError
from tinysight.data.dataset import Pixels
from tinysight.data.image_io import ImageFile
from tinysight.models.classifier import Classifier, batch_size
from tinysight.models.predictor import Outputs
from tinysight.serving.batcher import MicroBatcher
from tinysight.serving.http import read_image
from tinysight.serving.schemas import LabelsResponse, PredictResponse
from tinysight.serving.served_model import ServedModel

_RETRY_AFTER = {"Retry-After": "1"}
_INLINE_PIXELS = 2**14  # below this, decoding takes less time than handing it to another thread


class PredictionService:
    """Serves the predictions of one run."""

    def __init__(self, model: ServedModel, limits: RequestLimits) -> None:
        self.model, self.limits, self.metrics = model, limits, RequestMetrics()
        self._batcher = MicroBatcher(
            partial(Outputs.over_crops, model.classifier.outputs), limits.max_batch_size(model.classifier)
        )
        self._threads = ThreadPoolExecutor(2, "prediction")  # one builds the index, one decodes and explains
        self._in_flight, self._indexing = 0, False

    def warm_up(self) -> None:
        """Classify one blank image, so that torch's one-time setup is not part of the first request."""
        side = self.model.classifier.image_size
        self.model.classifier.outputs(np.zeros((1, 3, side, side), dtype=np.uint8))

    def build_index(self) -> None:
        """Start to build the feature index in the background; explanations lack neighbors until it is ready."""
        if not self._indexing:
            self._indexing = True
            self._threads.submit(self.model.build_index)

    def close(self) -> None:
        """Cancel background work."""
        self.model.cancel_index()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def is_ready(self) -> bool:
        """Whether another request would be accepted."""
        return self._in_flight < self.limits.max_in_flight

    async def predict(self, request: Request, top: int, explain: bool) -> PredictResponse | LabelsResponse:
        """Classify the image in a request.

        Raises:
            HTTPException: the image is invalid, the service is full, or the time limit is exceeded.
        """
        with self._admitted():
            try:
                async with asyncio.timeout(self.limits.timeout_seconds):
                    return await self._predict(request, top, explain)
            except TimeoutError as error:
                reason = f"Request: took longer than {self.limits.timeout_seconds:g} s. Try again."
                raise HTTPException(503, reason, _RETRY_AFTER) from error

    async def _predict(self, request: Request, top: int, explain: bool) -> PredictResponse | LabelsResponse:
        crops = await self._crops(await read_image(request, self.limits.max_bytes))
        probabilities, ood_score = await self._batcher.output(crops)
        response = self.model.to_response(probabilities, top, ood_score)
        if explain and self.model.can_explain and isinstance(response, PredictResponse):
            self.build_index()
            explanation = partial(self.model.explain, crops[0], response.top[0].index)
            response.explanation = await asyncio.get_running_loop().run_in_executor(self._threads, explanation)
        return response

    async def _crops(self, content: bytes) -> Pixels:
        """Return the classifier's crops of an image, (crops, 3, height, width); decode large images in a thread."""
        side = self.model.classifier.image_size
        try:
            image = ImageFile(content)
            decode = partial(image.decode_crops, (side, side), self.model.classifier.crops)
            if image.num_pixels <= _INLINE_PIXELS:
                return decode()
            return await asyncio.get_running_loop().run_in_executor(self._threads, decode)
        except ImageError as error:
            raise HTTPException(422, str(error)) from error

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """Count one request, and reject it with 429 if too many are in flight."""
        start, status = time.perf_counter(), 500
        self._in_flight += 1
        try:
            if self._in_flight > self.limits.max_in_flight:
                raise HTTPException(429, "Server: too many requests in flight. Try again in a second.", _RETRY_AFTER)
            yield
            status = 200
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self._in_flight -= 1
            self.metrics.record(status, time.perf_counter() - start)


@dataclass(frozen=True)
class RequestLimits:
    """Request limits of a server process.

    Attributes:
        max_bytes: maximum bytes of an image.
        max_in_flight: maximum requests in flight; further ones get status 429.
        timeout_seconds: time limit of a request, from its first byte to its response.
    """

    max_bytes: int = 10 * 2**20
    max_in_flight: int = 32
    timeout_seconds: float = 10.0

    def max_batch_size(self, classifier: Classifier) -> int:
        """Return the maximum number of images per batch: small, because all requests wait for it."""
        return max(1, batch_size(classifier.image_size) // 16)


_MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"  # directory of shared counters; prometheus_client reads it on import


@contextmanager
def shared_metrics() -> Iterator[None]:
    """Share counters among the processes started inside the block."""
    with tempfile.TemporaryDirectory(prefix="tinysight-") as folder:
        os.environ[_MULTIPROC_DIR] = folder
        try:
            yield
        finally:
            del os.environ[_MULTIPROC_DIR]


class RequestMetrics:
    """Counts and latencies of prediction requests."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tinysight_requests", "Prediction requests, by status", ["status"], registry=self._registry
        )
        self._seconds = Histogram(
            "tinysight_request_seconds", "Latency of prediction requests", registry=self._registry
        )

    def record(self, status: int, seconds: float) -> None:
        """Record one request."""
        self._requests.labels(status).inc()
        self._seconds.observe(seconds)

    def to_prometheus(self) -> bytes:
        """Return the metrics in Prometheus text format."""
        if _MULTIPROC_DIR not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
