"""Pictures that arrive one by one, looked at together: while a batch is worked on, the next one gathers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor

from tinysight.serving.looking import Looked, Seen

Waiting = tuple[bytes, "asyncio.Future[Seen]"]


class Engine:
    """Answers pictures in batches, beside the event loop.

    A picture that arrives alone is answered at once; the busier the server is, the larger are its batches.

    Args:
        look: takes the contents of pictures, and returns as many answers or errors.
        pool: where it runs.
        workers: how many batches at a time.
        batch: how many pictures in one, at most.
    """

    def __init__(
        self, look: Callable[[Sequence[bytes]], Sequence[Looked]], pool: Executor, workers: int, batch: int
    ) -> None:
        self._look, self._pool, self._workers, self._batch = look, pool, workers, batch
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def start(self) -> None:
        """Begin to answer, once every worker is there."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._pool, self._look, []) for _ in range(self._workers)))
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]

    async def stop(self) -> None:
        """Answer nothing any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.to_thread(self._pool.shutdown)

    async def seen(self, content: bytes) -> Seen:
        """Return what is said of a picture. Raises ImageError if it cannot be decoded."""
        answer: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        await self._queue.put((content, answer))
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._gathered()
            found: Sequence[Looked | Exception]
            try:
                found = await loop.run_in_executor(self._pool, self._look, [content for content, _ in batch])
            except Exception as error:  # whoever waits is told, and the next batch is answered
                found = [error] * len(batch)
            for (_, answer), one in zip(batch, found, strict=True):
                _settle(answer, one)
            if isinstance(found[0], BrokenExecutor):
                return  # nobody is there any more to look at the next one

    async def _gathered(self) -> list[Waiting]:
        """Wait for a picture and return it with all others that are there; those that nobody waits for any more go."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            if wanted := [one for one in batch if not one[1].done()]:
                return wanted


def _settle(answer: asyncio.Future[Seen], found: Looked | Exception) -> None:
    if answer.done():  # somebody has hung up meanwhile
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
