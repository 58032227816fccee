"""Pictures that arrive one by one, classified together: while a batch is worked on, the next one gathers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels

Probabilities = NDArray[np.float32]
Waiting = tuple[Pixels, "asyncio.Future[Probabilities]"]


class Engine:
    """Answers pictures in batches, in one thread beside the event loop.

    A picture that arrives alone is answered at once; the busier the server is, the larger are its batches.
    """

    def __init__(self, answer: Callable[[Pixels], Probabilities], batch: int) -> None:
        self._answer, self._batch = answer, batch
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "classifier")
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Answer nothing any more."""
        if self._task:
            self._task.cancel()
        await asyncio.to_thread(self._thread.shutdown)

    async def probabilities(self, pixels: Pixels) -> Probabilities:
        """Return probabilities, (classes,), of one image, (3, height, width)."""
        answer: asyncio.Future[Probabilities] = asyncio.get_running_loop().create_future()
        await self._queue.put((pixels, answer))
        return await answer

    async def beside(self, work: Callable[[], Any]) -> Any:
        """Return what other work on the classifier comes to, done between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._gathered()
            try:
                found = await loop.run_in_executor(self._thread, self._answer, np.stack([one for one, _ in batch]))
            except Exception as error:  # whoever waits is told, and the next batch is answered
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), row in zip(batch, found, strict=True):
                if not answer.done():  # somebody may have hung up meanwhile
                    answer.set_result(row)

    async def _gathered(self) -> list[Waiting]:
        """Wait for a picture and return it with all others that are there."""
        batch = [await self._queue.get()]
        while len(batch) < self._batch and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return [one for one in batch if not one[1].done()] or await self._gathered()
