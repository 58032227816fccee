"""Where requests for answers are taken in: so many at a time, each within its time, all of them counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from fastapi import HTTPException, Request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from tinysight.errors import ImageError
from tinysight.serving.answers import Answer
from tinysight.serving.engine import Engine
from tinysight.serving.intake import read_body
from tinysight.serving.limits import Limits
from tinysight.serving.looking import Seen, look, look_here, processes
from tinysight.serving.subject import Served

_AGAIN = {"Retry-After": "1"}


class Figures:
    """What /metrics tells."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.answers = Counter(
            "tinysight_answers", "Requests for answers, by status", ["status"], registry=self._registry
        )
        self.seconds = Histogram("tinysight_seconds", "From request to answer", registry=self._registry)

    def text(self) -> bytes:
        """Return them in the format of Prometheus."""
        return generate_latest(self._registry)


class Desk:
    """Answers requests for one run."""

    def __init__(self, served: Served, limits: Limits) -> None:
        self.served, self.limits, self.figures = served, limits, Figures()
        self.engine = _engine(served, limits)
        self._explainer = ThreadPoolExecutor(2, "explainer")  # one remembers while the other explains already
        self._in_hand = 0

    async def open(self) -> None:
        """Begin to answer. What explanations need to remember takes a while; until then they lack it."""
        await self.engine.start()
        self._explainer.submit(self.served.remember)

    async def close(self) -> None:
        """Answer nothing any more."""
        await self.engine.stop()
        self._explainer.shutdown(wait=False, cancel_futures=True)

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
        seen = await self._seen(await read_body(request, self.limits.body))
        answer = self.served.answer(seen.probabilities, top)
        if explain and self.served.explains:
            why = partial(self.served.explain, seen.pixels, answer.top[0].index)
            answer.explanation = await asyncio.get_running_loop().run_in_executor(self._explainer, why)
        return answer

    async def _seen(self, content: bytes) -> Seen:
        gone = "The network is gone; start the server again."
        if not self.engine.ready:
            raise HTTPException(503, gone)
        try:
            return await self.engine.seen(content)
        except ImageError as error:
            raise HTTPException(422, str(error)) from error
        except BrokenExecutor as error:
            raise HTTPException(503, gone) from error

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
            self.figures.answers.labels(status).inc()
            self.figures.seconds.observe(time.perf_counter() - begun)


def _engine(served: Served, limits: Limits) -> Engine:
    if limits.processes:
        return Engine(look_here, processes(served.run.path, limits.processes), limits.processes, limits.batch)
    return Engine(partial(look, served.classifier), ThreadPoolExecutor(1), 1, limits.batch)
