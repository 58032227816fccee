"""Pictures decoded batch by batch; many small ones in processes beside this one.

Of a small picture Python takes longer than Pillow, and holds its lock as long, so that threads gain nothing. Processes
of `multiprocessing` would run the program of whoever calls this once more, unless it is written for that; these are
told nothing but which files to decode.
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

from tinysight.data.intake.decoding import Failure, decode, small
from tinysight.data.pixels import Pixels
from tinysight.machine import usable_cores
from tinysight.progress import Progress, Silent

MANY = 20_000  # small pictures, from which on it pays to start processes for them, half a second each

Batch = Sequence[Path]
Decoded = tuple[Pixels, list[Failure]]
"""Pixels, uint8, (n, 3, height, width), 0 where decoding failed; and the failures, counted from the batch's start."""


def decode_batches(
    batches: Iterable[Batch], count: int, size: tuple[int, int], progress: Progress
) -> Generator[Decoded]:
    """Decode batches of files as `decode` does, a few of them ahead; close this if you do not take all of them.

    Args:
        batches: the files; asked for one after the other.
        count: how many files they are in all.
        size: height and width of the results, in pixels.
        progress: told of every image, or of every batch if they are many.

    Yields:
        What `decode` returns, for each batch in order.
    """
    progress.start("decoding", count, "images")
    try:
        yield from _beside(batches, size, progress) if count >= MANY else _here(batches, size, progress)
    finally:
        progress.finish()


def _here(batches: Iterable[Batch], size: tuple[int, int], progress: Progress) -> Iterator[Decoded]:
    for batch in batches:
        yield decode(batch, size, _Within(progress))


def _beside(batches: Iterable[Batch], size: tuple[int, int], progress: Progress) -> Generator[Decoded]:
    crew = [_Helper() for _ in range(usable_cores())]
    idle: SimpleQueue[_Helper] = SimpleQueue()
    for helper in crew:
        idle.put(helper)

    def work(batch: Batch) -> Decoded:
        if not small(batch):
            return decode(batch, size)
        helper = idle.get()
        try:
            return helper.decode(batch, size)
        finally:
            idle.put(helper)

    ahead: deque[Future[Decoded]] = deque()
    pool = ThreadPoolExecutor(len(crew))
    try:
        for batch in batches:
            ahead.append(pool.submit(work, batch))
            if len(ahead) > 2 * len(crew):
                yield _taken(ahead, progress)
        while ahead:
            yield _taken(ahead, progress)
    finally:
        pool.shutdown(cancel_futures=True)
        for helper in crew:
            helper.end()


def _taken(ahead: deque[Future[Decoded]], progress: Progress) -> Decoded:
    decoded = ahead.popleft().result()
    progress.advance(len(decoded[0]))
    return decoded


class _Within(Silent):
    """Tells of a part of some work how far it is, but not that the whole begins or ends."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def advance(self, amount: int, **figures: float) -> None:
        """Say that `amount` more units of the whole are done."""
        self.progress.advance(amount, **figures)


class _Helper:
    """A process that decodes what it is told; it ends when nobody can tell it anything any more, however that came."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this module, and nothing that anybody said
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for this process, which will end it
        )

    def decode(self, batch: Batch, size: tuple[int, int]) -> Decoded:
        """Have a batch decoded. If the helper was killed, nothing is lost: it is decoded here."""
        try:
            return self._ask(batch, size)
        except (OSError, ValueError):
            return decode(batch, size)

    def end(self) -> None:
        """Let it end, and wait for that."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, batch: Batch, size: tuple[int, int]) -> Decoded:
        told, answers = self._process.stdin, self._process.stdout
        if told is None or answers is None:
            raise ValueError
        told.write(json.dumps({"files": [str(path) for path in batch], "size": size}).encode() + b"\n")
        told.flush()
        failures = [(index, message) for index, message in json.loads(answers.readline())]
        shape = (len(batch), 3, *size)
        return np.frombuffer(answers.read(int(np.prod(shape))), np.uint8).reshape(shape), failures


def _serve(orders: BinaryIO, answers: BinaryIO) -> None:
    """Be a helper: decode what each line says, until there are no more."""
    for line in orders:
        order = json.loads(line)
        height, width = order["size"]
        pixels, failures = decode([Path(file) for file in order["files"]], (height, width))
        answers.write(json.dumps(failures).encode() + b"\n")
        answers.write(pixels.data)
        answers.flush()


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
