"""Where requests for answers are taken in: so many at a time, each within its time, all of them counted."""

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

_AGAIN = {"Retry-After": "1"}
_SMALL = 2**14  # pixels that are decoded sooner than another thread could be asked to


class Desk:
    """Answers requests for one run."""

    def __init__(self, served: Served, limits: Limits) -> None:
        self.served, self.limits, self.figures = served, limits, Figures()
        self._engine = Engine(partial(over_looks, served.classifier.probabilities), limits.batch(served.classifier))
        self._beside = ThreadPoolExecutor(2, "beside")  # one remembers while the other decodes or explains already
        self._in_hand, self._remembers = 0, False

    def open(self) -> None:
        """Be ready to answer: what torch does at its first picture is done before the first request."""
        side = self.served.classifier.image_size
        self.served.classifier.probabilities(np.zeros((1, 3, side, side), dtype=np.uint8))

    def remember(self) -> None:
        """Begin to remember what explanations need; it takes a while, and until then they lack it."""
        if not self._remembers:
            self._remembers = True
            self._beside.submit(self.served.remember)

    def close(self) -> None:
        """Answer nothing any more."""
        self.served.forget()
        self._beside.shutdown(wait=False, cancel_futures=True)

    @property
    def ready(self) -> bool:
        """Whether it would take one more picture."""
        return self._in_hand < self.limits.waiting

    async def answer(self, request: Request, top: int, explain: bool) -> Answer:
        """Return what is on the picture that is the body of a request.

        Raises:
            HTTPException: with the status that says why there is no answer.
        """
        with self._counted():
            try:
                async with asyncio.timeout(self.limits.seconds):
                    return await self._answer(request, top, explain)
            except TimeoutError as error:
                reason = f"This took longer than {self.limits.seconds:g} s; try again."
                raise HTTPException(503, reason, _AGAIN) from error

    async def _answer(self, request: Request, top: int, explain: bool) -> Answer:
        looks = await self._looks(await read_body(request, self.limits.body))
        answer = self.served.answer(await self._engine.probabilities(looks), top)
        if explain and self.served.explains:
            self.remember()
            why = partial(self.served.explain, looks[0], answer.top[0].index)
            answer.explanation = await asyncio.get_running_loop().run_in_executor(self._beside, why)
        return answer

    async def _looks(self, content: bytes) -> Pixels:
        """Return what the classifier looks at of a picture; a large one is decoded beside the event loop."""
        side = self.served.classifier.image_size
        try:
            picture = Opened(content)
            decode = partial(picture.looks, (side, side), self.served.classifier.looks)
            if picture.area <= _SMALL:
                return decode()
            return await asyncio.get_running_loop().run_in_executor(self._beside, decode)
        except ImageError as error:
            raise HTTPException(422, str(error)) from error

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count one request, and refuse it if too many are in hand."""
        begun, status = time.perf_counter(), 200
        self._in_hand += 1
        try:
            if self._in_hand > self.limits.waiting:
                raise HTTPException(429, "Too many pictures at once; try again in a second.", _AGAIN)
            yield
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self._in_hand -= 1
            self.figures.count(status, time.perf_counter() - begun)
