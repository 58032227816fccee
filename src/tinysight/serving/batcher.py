"""Dynamic batching: concurrent requests share one forward pass."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels
from tinysight.models.predictor import Outputs

Output = tuple[NDArray[np.float32], float]
"""The probabilities, (classes,), and the OOD score of an image."""

PendingRequest = tuple[Pixels, "asyncio.Future[Output]"]


class MicroBatcher:
    """Classifies queued images in batches, on the event loop itself.

    A forward pass is many small operations. In a thread beside the loop, each of them would wait for the GIL
    (docs/experiments/serving-threads-and-processes.md). Requests therefore wait during a batch, which must be short;
    each core has its own process.

    Args:
        outputs: returns the outputs for crops of shape (n, crops, 3, height, width).
        max_batch_size: maximum number of images per batch.
    """

    def __init__(self, outputs: Callable[[Pixels], Outputs], max_batch_size: int) -> None:
        self._outputs, self._max_batch_size = outputs, max_batch_size
        self._queue: deque[PendingRequest] = deque()
        self._last_length = 0

    async def output(self, crops: Pixels) -> Output:
        """Return the output for the crops of one image, (crops, 3, height, width)."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Output] = loop.create_future()
        if not self._queue:
            loop.call_soon(self._poll)
        self._queue.append((crops, result))
        return await result

    def _poll(self) -> None:
        """Run a batch once it is full or one turn of the loop has added no images."""
        if self._last_length < len(self._queue) < self._max_batch_size:
            self._last_length = len(self._queue)
        else:
            self._last_length = 0
            self._run_batch()
        if self._queue:
            asyncio.get_running_loop().call_soon(self._poll)

    def _run_batch(self) -> None:
        requests = [self._queue.popleft() for _ in range(min(self._max_batch_size, len(self._queue)))]
        pending = [(crops, result) for crops, result in requests if not result.done()]  # the others were cancelled
        if not pending:
            return
        try:
            outputs = self._outputs(np.stack([crops for crops, _ in pending]))
        except Exception as error:  # fails this batch only
            for _, result in pending:
                result.set_exception(error)
            return
        for (_, result), output in zip(pending, outputs, strict=True):
            result.set_result(output)
