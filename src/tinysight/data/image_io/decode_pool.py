"""Decode image files batch by batch, in worker processes if there are many.

Decoding a small image takes longer in Python than in Pillow, and Python holds its lock meanwhile, so that threads do
not help. The processes of `multiprocessing` may run the caller's main module again. The workers here receive only the
paths of files to decode.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

import numpy as np

from tinysight._util.hardware import usable_cores
from tinysight._util.platform import NEW_PROCESS_GROUP
from tinysight._util.progress import Progress, SilentProgress
from tinysight.data.image_io.decoding import DecodeFailure, decode_images, mostly_small_files
from tinysight.data.pixels import Pixels

MIN_FILES_FOR_PROCESSES = 20_000  # files from which on worker processes pay off; each takes half a second to start

FileBatch = Sequence[Path]
DecodedBatch = tuple[Pixels, list[DecodeFailure]]
"""Pixels, uint8, (n, 3, height, width), 0 where decoding failed; and the failures, by position in the batch."""


def decode_batches(
    batches: Iterable[FileBatch], total: int, size: tuple[int, int], progress: Progress
) -> Generator[DecodedBatch]:
    """Decode batches of files as `decode_images` does, a few batches ahead. Close the generator to stop early.

    Args:
        batches: the files; iterated lazily.
        total: the total number of files.
        size: height and width of the results, in pixels.
        progress: receives the number of decoded images.

    Yields:
        The result of `decode_images` for each batch, in order.
    """
    progress.start("decoding", total, "images")
    try:
        yield from (
            _in_processes(batches, size, progress)
            if total >= MIN_FILES_FOR_PROCESSES
            else _inline(batches, size, progress)
        )
    finally:
        progress.finish()


def _inline(batches: Iterable[FileBatch], size: tuple[int, int], progress: Progress) -> Iterator[DecodedBatch]:
    for batch in batches:
        yield decode_images(batch, size, _SubProgress(progress))


def _in_processes(batches: Iterable[FileBatch], size: tuple[int, int], progress: Progress) -> Generator[DecodedBatch]:
    workers = [_DecodeWorker() for _ in range(usable_cores())]
    idle: SimpleQueue[_DecodeWorker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def decode_batch(batch: FileBatch) -> DecodedBatch:
        if not mostly_small_files(batch):
            return decode_images(batch, size)
        worker = idle.get()
        try:
            return worker.decode(batch, size)
        finally:
            idle.put(worker)

    pending: deque[Future[DecodedBatch]] = deque()
    pool = ThreadPoolExecutor(len(workers))
    try:
        for batch in batches:
            pending.append(pool.submit(decode_batch, batch))
            if len(pending) > 2 * len(workers):
                yield _next_result(pending, progress)
        while pending:
            yield _next_result(pending, progress)
    finally:
        pool.shutdown(cancel_futures=True)
        for worker in workers:
            worker.stop()


def _next_result(pending: deque[Future[DecodedBatch]], progress: Progress) -> DecodedBatch:
    decoded = pending.popleft().result()
    progress.advance(len(decoded[0]))
    return decoded


class _SubProgress(SilentProgress):
    """Forwards `advance` to another progress, but not its start and finish."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def advance(self, amount: int, **metrics: float) -> None:
        """Report `amount` more units."""
        self.progress.advance(amount, **metrics)


class _DecodeWorker:
    """A worker process that decodes batches. It exits when its standard input closes, even after a crash here."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - runs this module, with no user input
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C reaches only the parent, which stops the workers
            creationflags=NEW_PROCESS_GROUP,  # the same on Windows
        )

    def decode(self, batch: FileBatch, size: tuple[int, int]) -> DecodedBatch:
        """Decode a batch in the worker, or in this process if the worker was killed."""
        try:
            return self._request(batch, size)
        except (OSError, ValueError):
            return decode_images(batch, size)

    def stop(self) -> None:
        """Kill the process and wait for it."""
        self._process.kill()
        self._process.communicate()

    def _request(self, batch: FileBatch, size: tuple[int, int]) -> DecodedBatch:
        requests, responses = self._process.stdin, self._process.stdout
        if requests is None or responses is None:
            raise ValueError
        requests.write(json.dumps({"files": [str(path) for path in batch], "size": size}).encode() + b"\n")
        requests.flush()
        failures = [(index, message) for index, message in json.loads(responses.readline())]
        shape = (len(batch), 3, *size)
        return np.frombuffer(responses.read(int(np.prod(shape))), np.uint8).reshape(shape), failures


def _serve(requests: BinaryIO, responses: BinaryIO) -> None:
    """Decode the batch of each request line until the input ends: the main loop of a worker."""
    for line in requests:
        request = json.loads(line)
        height, width = request["size"]
        pixels, failures = decode_images([Path(file) for file in request["files"]], (height, width))
        responses.write(json.dumps(failures).encode() + b"\n")
        responses.write(pixels.data)
        responses.flush()


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
