"""What the server bears: pictures a second, how long one waits, and what becomes of it when too many ask.

    python benchmarks/serving.py RUN [--seconds 10] [--turns 3]

Asks a server of its own about a 32x32 PNG from this machine, so that asking takes its share of the processor too; in
turn with what the bare network does in batches. Appends to benchmarks/results/serving.jsonl.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import append, stamp
from PIL import Image

from tinysight.data import shapes
from tinysight.data.intake import to_pixels
from tinysight.models.classifier import Classifier
from tinysight.runs.run import Run
from tinysight.serving.limits import Limits

PORT, CLIENTS = 8765, 32
Answered = list[tuple[int, float]]  # the status and the seconds of each request


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    classifier = Run.open(arguments.run).classifier()
    recipe = Run.open(arguments.run).summary().recipe
    with server(arguments.run) as process:
        bare, busy = zip(
            *((alone(classifier), load(CLIENTS, arguments.seconds)) for _ in range(arguments.turns)), strict=True
        )
        served = [right(answers) / arguments.seconds for answers in busy]
        shares = [ours / theirs for ours, theirs in zip(served, bare, strict=True)]
        claim = f"`{recipe}`: pictures a second with {CLIENTS} clients, against the bare network in batches"
        add(claim, spread(served), spread(bare), spread(shares), arguments.turns)
        half = paced(statistics.median(served) / 2, arguments.seconds)
        add(f"`{recipe}`: p50 and p99 at half that load, ms", f"{p(half, 50):.1f}; {p(half, 99):.1f}", "wanted: p99 50")
        for row in overload(process.pid, arguments.seconds, statistics.median(served)):
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
        load(CLIENTS, 2)  # warm
        yield process
    finally:
        process.terminate()
        process.wait(30)


def alone(classifier: Classifier) -> float:
    """Return how many pictures a second the bare network tells, the same one in batches as large as the server's."""
    batch, size = Limits().batch, classifier.image_size
    pixels = np.repeat(to_pixels(shapes.draw(1, seed=0).pixels, size), batch, axis=0)
    classifier.probabilities(pixels)
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < 5:
        classifier.probabilities(pixels)
        done += batch
    return done / (time.perf_counter() - begun)


def request() -> bytes:
    """Return what a client sends."""
    content = io.BytesIO()
    Image.fromarray(shapes.draw(1, seed=0).pixels[0].transpose(1, 2, 0)).save(content, "PNG")
    body = content.getvalue()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


REQUEST = request()


class Client:
    """One connection, kept open while the server keeps it."""

    def __init__(self) -> None:
        self.reader: asyncio.StreamReader | None = None

    async def ask(self) -> tuple[int, float]:
        """Ask once, and return the status and the seconds it took."""
        begun = time.perf_counter()
        if self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", PORT)
        self.writer.write(REQUEST)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        await self.reader.readexactly(length)
        if "connection: close" in head:
            self.close()
        return int(head.split()[1]), time.perf_counter() - begun

    def close(self) -> None:
        """Hang up."""
        if self.reader is not None:
            self.writer.close()
            self.reader = None


def load(clients: int, seconds: float) -> Answered:
    """Let so many clients ask as fast as they are answered, and return all answers."""
    found: Answered = []

    async def one(until: float) -> None:
        client = Client()
        while time.perf_counter() < until:
            try:
                found.append(await client.ask())
            except (OSError, asyncio.IncompleteReadError):
                found.append((0, 0.0))
                client.close()
        client.close()

    async def every() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(one(until) for _ in range(clients)))

    asyncio.run(every())
    return found


def paced(rate: float, seconds: float) -> Answered:
    """Ask so many times a second, however long the answers take, and return all answers."""
    found: Answered = []
    free = [Client() for _ in range(CLIENTS)]

    async def one() -> None:
        client = free.pop() if free else Client()
        found.append(await client.ask())
        free.append(client)

    async def every() -> None:
        begun, tasks = time.perf_counter(), []
        while (elapsed := time.perf_counter() - begun) < seconds:
            tasks += [asyncio.create_task(one()) for _ in range(int(elapsed * rate) - len(tasks))]
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)

    asyncio.run(every())
    return found


def overload(process: int, seconds: float, capacity: float) -> Iterator[tuple[str, str, str]]:
    """Yield what happens when ten times more clients ask than it takes at once, and right after."""
    clients, before = 10 * Limits().waiting, memory(process)
    answers = load(clients, seconds)
    after = memory(process)
    time.sleep(2)
    again = right(load(CLIENTS, 3)) / 3
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(Counter(s for s, _ in answers).items()))
    yield f"{clients} clients at once, by status", statuses, "wanted: 200, 429, 503 alone"
    yield "memory of the server before and after, MB", f"{before:,.0f}; {after:,.0f}", "wanted: flat"
    yield "two seconds later, of the pictures/s before", f"{again / capacity:.2f}", "wanted: as before"


def right(answers: Answered) -> int:
    return sum(status == 200 for status, _ in answers)


def memory(process: int) -> float:
    """Return the megabytes that a process holds."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


def p(answers: Answered, percentile: float) -> float:
    """Return the milliseconds within which so many of a hundred were answered."""
    return float(np.percentile([1000 * seconds for status, seconds in answers if status == 200], percentile))


def spread(values: list[float]) -> str:
    """Return the median, the smallest and the largest."""
    digits = 0 if max(values) > 20 else 2
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


if __name__ == "__main__":
    main()
