"""Prediction service: admission control, timeouts, decoding, batching."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
from fastapi import HTTPException, Request

from tinysight.data.dataset import Pixels
from tinysight.data.intake import Opened
from tinysight.errors import ImageError
from tinysight.models.looks import over_looks
from tinysight.serving.answers import Answer
from tinysight.serving.engine import Engine
from tinysight.serving.figures import Figures
from tinysight.serving.intake import read_body
from tinysight.serving.limits import Limits
from tinysight.serving.subject import Served

_RETRY_AFTER = {"Retry-After": "1"}
_INLINE_PIXELS = 2**14  # below this, decoding takes less time than handing it to another thread


class Desk:
    """Serves the predictions of one run."""

    def __init__(self, served: Served, limits: Limits) -> None:
        self.served, self.limits, self.figures = served, limits, Figures()
        self._engine = Engine(partial(over_looks, served.classifier.probabilities), limits.batch(served.classifier))
        self._threads = ThreadPoolExecutor(2, "prediction")  # one builds the index, one decodes and explains
        self._in_flight, self._indexing = 0, False

    def open(self) -> None:
        """Classify one blank image, so that torch's one-time setup is not part of the first request."""
        side = self.served.classifier.image_size
        self.served.classifier.probabilities(np.zeros((1, 3, side, side), dtype=np.uint8))

    def remember(self) -> None:
        """Start to build the feature index in the background; explanations lack neighbors until it is ready."""
        if not self._indexing:
            self._indexing = True
            self._threads.submit(self.served.remember)

    def close(self) -> None:
        """Cancel background work."""
        self.served.forget()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def ready(self) -> bool:
        """Whether another request would be accepted."""
        return self._in_flight < self.limits.waiting

    async def answer(self, request: Request, top: int, explain: bool) -> Answer:
        """Classify the image in the body of a request.

        Raises:
            HTTPException: the image is invalid, the service is full, or the time limit is exceeded.
        """
        with self._admitted():
            try:
                async with asyncio.timeout(self.limits.seconds):
                    return await self._predict(request, top, explain)
            except TimeoutError as error:
                reason = f"Request: took longer than {self.limits.seconds:g} s. Try again."
                raise HTTPException(503, reason, _RETRY_AFTER) from error

    async def _predict(self, request: Request, top: int, explain: bool) -> Answer:
        crops = await self._crops(await read_body(request, self.limits.body))
        response = self.served.answer(await self._engine.probabilities(crops), top)
        if explain and self.served.explains:
            self.remember()
            explanation = partial(self.served.explain, crops[0], response.top[0].index)
            response.explanation = await asyncio.get_running_loop().run_in_executor(self._threads, explanation)
        return response

    async def _crops(self, content: bytes) -> Pixels:
        """Return the classifier's crops of an image, (crops, 3, height, width); decode large images in a thread."""
        side = self.served.classifier.image_size
        try:
            image = Opened(content)
            decode = partial(image.looks, (side, side), self.served.classifier.looks)
            if image.area <= _INLINE_PIXELS:
                return decode()
            return await asyncio.get_running_loop().run_in_executor(self._threads, decode)
        except ImageError as error:
            raise HTTPException(422, str(error)) from error

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """Count one request, and reject it with 429 if too many are in flight."""
        start, status = time.perf_counter(), 200
        self._in_flight += 1
        try:
            if self._in_flight > self.limits.waiting:
                raise HTTPException(429, "Server: too many requests in flight. Try again in a second.", _RETRY_AFTER)
            yield
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self._in_flight -= 1
            self.figures.count(status, time.perf_counter() - start)
