"""Pictures that arrive one by one, looked at together: while a batch is worked on, the next one gathers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np

from tinysight.data.dataset import Pixels
from tinysight.models.looks import Probabilities

Waiting = tuple[Pixels, "asyncio.Future[Probabilities]"]


class Engine:
    """Answers pictures in batches, on the event loop itself.

    A network is many small steps, and Python lets one thread of a process work at a time: from a thread beside the
    loop, every step would have to wait for its turn (docs/experiments.md). So requests wait while a batch is worked
    on, which must be short; other cores have processes of their own.

    Args:
        probabilities: says those, (n, classes), of what is looked at, (n, looks, 3, height, width).
        batch: how many pictures at once, at most.
    """

    def __init__(self, probabilities: Callable[[Pixels], Probabilities], batch: int) -> None:
        self._probabilities, self._batch = probabilities, batch
        self._waiting: deque[Waiting] = deque()
        self._gathered = 0

    async def probabilities(self, looks: Pixels) -> Probabilities:
        """Return (classes,) for the looks at one picture, (looks, 3, height, width)."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Probabilities] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._gather)
        self._waiting.append((looks, answer))
        return await answer

    def _gather(self) -> None:
        """Begin with a batch as soon as a turn of the loop has brought no more pictures."""
        if self._gathered < len(self._waiting) < self._batch:
            self._gathered = len(self._waiting)
        else:
            self._gathered = 0
            self._work()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._gather)

    def _work(self) -> None:
        taken = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
        wanted = [(looks, answer) for looks, answer in taken if not answer.done()]  # nobody waits for the others
        if not wanted:
            return
        try:
            found = self._probabilities(np.stack([looks for looks, _ in wanted]))
        except Exception as error:  # whoever waits is told, and the next batch is answered
            for _, answer in wanted:
                answer.set_exception(error)
            return
        for (_, answer), row in zip(wanted, found, strict=True):
            answer.set_result(row)
