"""What the server bears: pictures a second, how long one waits, and what becomes of it when too many ask.

    python benchmarks/serving.py RUN [--seconds 10] [--turns 3]

Asks a server of its own about test images of the run, as PNG, from this machine, so that asking takes its share of the
processor too; in turn with what the bare network does with the same images in batches. Appends to
benchmarks/results/serving.jsonl.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import io
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import uvloop
from common import append, stamp
from PIL import Image

from tinysight.data.dataset import Pixels
from tinysight.evaluation.images import images_of
from tinysight.machine import usable_cores
from tinysight.models.classifier import Classifier
from tinysight.runs.run import Run
from tinysight.serving.limits import Limits

PORT, CLIENTS = 8765, 32
BATCHES = {256: "batches", 32: "batches of 32"}  # what makes it fastest, and as many as there are clients
Answered = list[tuple[int, float]]  # the status and the seconds of each request


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    classifier, recipe = run.classifier(), run.summary().recipe
    pixels = images_of(run).test.pixels[:256]
    requests = itertools.cycle([asking(image) for image in pixels])
    with server(arguments.run) as process:
        load(requests, CLIENTS, 2)  # warm
        gc.freeze()  # a search of all of torch for garbage would look like a wait for the server
        turns = [
            (
                {batch: alone(classifier, pixels[:batch]) for batch in BATCHES},
                load(requests, CLIENTS, arguments.seconds),
            )
            for _ in range(arguments.turns)
        ]
        served = [right(answers) / arguments.seconds for _, answers in turns]
        for batch, words in BATCHES.items():
            bare = [rates[batch] for rates, _ in turns]
            shares = [ours / theirs for ours, theirs in zip(served, bare, strict=True)]
            claim = f"`{recipe}`: pictures a second with {CLIENTS} clients, against the bare network in {words}"
            add(claim, spread(served), spread(bare), spread(shares), arguments.turns)
        rate = statistics.median(served) / 2
        halves = [paced(requests, rate, arguments.seconds) for _ in range(arguments.turns)]
        waits = "; ".join(spread([p(half, percentile) for half in halves]) for percentile in (50, 99))
        add(f"`{recipe}`: p50 and p99 at half that load, ms", waits, "wanted: p99 50", n=arguments.turns)
        for row in overload(requests, process.pid, arguments.seconds, statistics.median(served)):
            add(*row)


def add(claim: str, ours: str, peer: str = "", ratio: str = "", n: int = 1) -> None:
    row = {"claim": claim, "ours": ours, "peer": peer, "ratio": ratio, "n": n, **stamp()}
    print(json.dumps(append("serving", row), ensure_ascii=False), flush=True)


@contextlib.contextmanager
def server(run: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a run within the block."""
    command = [sys.executable, "-m", "tinysight", "serve", str(run), "--port", str(PORT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it listens from here on
        yield process
    finally:
        process.terminate()
        process.wait(30)


def alone(classifier: Classifier, pixels: Pixels) -> float:
    """Return how many pictures a second the bare network tells in batches."""
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < 5:
        classifier.probabilities(pixels)
        done += len(pixels)
    return done / (time.perf_counter() - begun)


def asking(image: Pixels) -> bytes:
    """Return what a client sends to be told what is on an image."""
    content = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(content, "PNG")
    body = content.getvalue()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client(asyncio.Protocol):
    """One connection, kept open while the server keeps it, and light, since it takes from the same cores."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.requests, self.transport, self.received = requests, None, b""

    async def ask(self) -> tuple[int, float]:
        """Ask once, and return the status, 0 if there is no answer, and the seconds it took."""
        begun, loop = time.perf_counter(), asyncio.get_running_loop()
        self.answer: asyncio.Future[int] = loop.create_future()
        try:
            if self.transport is None:
                self.transport, _ = await loop.create_connection(lambda: self, "127.0.0.1", PORT)
            self.transport.write(next(self.requests))
            return await self.answer, time.perf_counter() - begun
        except OSError:
            return 0, time.perf_counter() - begun

    def data_received(self, data: bytes) -> None:
        """Take an answer once all of it is there."""
        self.received += data
        head, _, body = self.received.partition(b"\r\n\r\n")
        _, _, length = head.partition(b"content-length: ")
        if length and len(body) == int(length.partition(b"\r")[0]) and not self.answer.done():
            self.received = b""
            self.answer.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        """Connect anew for the next one."""
        self.transport, self.received = None, b""
        if not self.answer.done():
            self.answer.set_result(0)

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.abort()


def load(requests: Iterator[bytes], clients: int, seconds: float) -> Answered:
    """Let so many clients ask as fast as they are answered, and return all answers."""
    found: Answered = []

    async def one(until: float) -> None:
        client = Client(requests)
        while time.perf_counter() < until:
            found.append(await client.ask())
        client.close()

    async def every() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(one(until) for _ in range(clients)))

    uvloop.run(every())
    return found


def paced(requests: Iterator[bytes], rate: float, seconds: float) -> Answered:
    """Ask so many times a second, however long the answers take, and return all answers."""
    found: Answered = []
    free = [Client(requests) for _ in range(CLIENTS)]

    async def one() -> None:
        client = free.pop() if free else Client(requests)
        found.append(await client.ask())
        free.append(client)

    async def every() -> None:
        begun, tasks = time.perf_counter(), []
        while (elapsed := time.perf_counter() - begun) < seconds:
            tasks += [asyncio.create_task(one()) for _ in range(int(elapsed * rate) - len(tasks))]
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)

    uvloop.run(every())
    return found


def overload(
    requests: Iterator[bytes], process: int, seconds: float, capacity: float
) -> Iterator[tuple[str, str, str]]:
    """Yield what happens when ten times more clients ask than it takes at once, and right after."""
    clients, held, answers = 10 * usable_cores() * Limits().waiting, [memory(process)], []
    for _ in range(3):
        answers += load(requests, clients, seconds)
        held.append(memory(process))
    time.sleep(2)
    again = right(load(requests, CLIENTS, 3)) / 3
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(Counter(s for s, _ in answers).items()))
    yield f"{clients} clients at once, by status", statuses, "wanted: 200, 429, 503 alone"
    megabytes = "; ".join(f"{one:,.0f}" for one in held)
    yield "memory of the server before and after, MB", megabytes, "wanted: flat"
    yield "two seconds later, of the pictures/s before", f"{again / capacity:.2f}", "wanted: as before"


def right(answers: Answered) -> int:
    return sum(status == 200 for status, _ in answers)


def memory(process: int) -> float:
    """Return the megabytes that a process and those it has started hold; what they share counts once."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
    started = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return own + sum(memory(int(one)) for one in started)


def p(answers: Answered, percentile: float) -> float:
    """Return the milliseconds within which so many of a hundred were answered."""
    return float(np.percentile([1000 * seconds for status, seconds in answers if status == 200], percentile))


def spread(values: list[float]) -> str:
    """Return the median, the smallest and the largest."""
    digits = 0 if max(values) > 100 else 2
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


if __name__ == "__main__":
    main()
