"""Load test of the server: throughput, latency and overload.

    python benchmarks/serving.py RUN [--seconds 10] [--turns 3]

Sends test images of the run as PNG to a server on this machine, so that the clients use the same processor. Alternates
with the network alone on the same images in batches. Appends to benchmarks/results/serving.jsonl.
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

from tinysight._util.hardware import usable_cores
from tinysight.data.dataset import Pixels
from tinysight.models.classifier import Classifier
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import open_dataset
from tinysight.serving.service import RequestLimits

PORT, CLIENTS = 8765, 32
BATCHES = {256: "batches", 32: "batches of 32"}  # the fastest batch size, and the number of clients
Responses = list[tuple[int, float]]  # status and seconds of each request


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    classifier, recipe = run.classifier(), run.summary().recipe
    pixels = open_dataset(run).test.pixels[:256]
    requests = itertools.cycle([predict_request(image) for image in pixels])
    with server(arguments.run) as process:
        load(requests, CLIENTS, 2)  # warm-up
        gc.freeze()  # a garbage collection of torch's objects would count as latency
        turns = [
            (
                {batch: network_rate(classifier, pixels[:batch]) for batch in BATCHES},
                load(requests, CLIENTS, arguments.seconds),
            )
            for _ in range(arguments.turns)
        ]
        served = [count_ok(responses) / arguments.seconds for _, responses in turns]
        for batch, description in BATCHES.items():
            alone = [rates[batch] for rates, _ in turns]
            shares = [ours / theirs for ours, theirs in zip(served, alone, strict=True)]
            claim = f"`{recipe}`: images/s with {CLIENTS} clients, compared with the network alone in {description}"
            add(claim, spread(served), spread(alone), spread(shares), arguments.turns)
        rate = statistics.median(served) / 2
        half_load = [constant_rate(requests, rate, arguments.seconds) for _ in range(arguments.turns)]
        latencies = "; ".join(spread([p(half, percentile) for half in half_load]) for percentile in (50, 99))
        add(f"`{recipe}`: p50 and p99 latency at half that load, ms", latencies, "target: p99 50", n=arguments.turns)
        for row in overload(requests, process.pid, arguments.seconds, statistics.median(served)):
            add(*row)


def add(claim: str, ours: str, peer: str = "", ratio: str = "", n: int = 1) -> None:
    row = {"claim": claim, "ours": ours, "peer": peer, "ratio": ratio, "n": n, **stamp()}
    print(json.dumps(append("serving", row), ensure_ascii=False), flush=True)


@contextlib.contextmanager
def server(run: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in the block."""
    command = [sys.executable, "-m", "tinysight", "serve", str(run), "--port", str(PORT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # printed once the server listens
        yield process
    finally:
        process.terminate()
        process.wait(30)


def network_rate(classifier: Classifier, pixels: Pixels) -> float:
    """Return the images per second of the network alone, in batches."""
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < 5:
        classifier.probabilities(pixels)
        done += len(pixels)
    return done / (time.perf_counter() - start)


def predict_request(image: Pixels) -> bytes:
    """Return the bytes of an HTTP request to classify `image`."""
    content = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(content, "PNG")
    body = content.getvalue()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client(asyncio.Protocol):
    """Minimal keep-alive HTTP client; it shares the cores with the server."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.requests, self.received = requests, b""
        self.transport: asyncio.Transport | None = None

    async def send(self) -> tuple[int, float]:
        """Send one request; return the status, or 0 without a response, and the seconds."""
        start, loop = time.perf_counter(), asyncio.get_running_loop()
        self.response: asyncio.Future[int] = loop.create_future()
        try:
            if self.transport is None:
                self.transport, _ = await loop.create_connection(lambda: self, "127.0.0.1", PORT)
            self.transport.write(next(self.requests))
            return await self.response, time.perf_counter() - start
        except OSError:
            return 0, time.perf_counter() - start

    def data_received(self, data: bytes) -> None:
        """Set the result once the response is complete."""
        self.received += data
        head, _, body = self.received.partition(b"\r\n\r\n")
        _, _, length = head.partition(b"content-length: ")
        if length and len(body) == int(length.partition(b"\r")[0]) and not self.response.done():
            self.received = b""
            self.response.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        """Reconnect at the next request."""
        self.transport, self.received = None, b""
        if not self.response.done():
            self.response.set_result(0)

    def close(self) -> None:
        """Close the connection."""
        if self.transport is not None:
            self.transport.abort()


def load(requests: Iterator[bytes], clients: int, seconds: float) -> Responses:
    """Send requests from `clients` connections without pause; return all responses."""
    responses: Responses = []

    async def run_client(until: float) -> None:
        client = Client(requests)
        while time.perf_counter() < until:
            responses.append(await client.send())
        client.close()

    async def run_all() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(run_client(until) for _ in range(clients)))

    uvloop.run(run_all())
    return responses


def constant_rate(requests: Iterator[bytes], rate: float, seconds: float) -> Responses:
    """Send `rate` requests per second regardless of the latency; return all responses."""
    responses: Responses = []
    free = [Client(requests) for _ in range(CLIENTS)]

    async def send_one() -> None:
        client = free.pop() if free else Client(requests)
        responses.append(await client.send())
        free.append(client)

    async def run_all() -> None:
        start = time.perf_counter()
        tasks: list[asyncio.Task[None]] = []
        while (elapsed := time.perf_counter() - start) < seconds:
            tasks += [asyncio.create_task(send_one()) for _ in range(int(elapsed * rate) - len(tasks))]
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)

    uvloop.run(run_all())
    return responses


def overload(
    requests: Iterator[bytes], process: int, seconds: float, capacity: float
) -> Iterator[tuple[str, str, str]]:
    """Yield the results of ten times more clients than the limit, and the throughput afterwards."""
    clients, sizes, responses = 10 * usable_cores() * RequestLimits().max_in_flight, [memory(process)], []
    for _ in range(3):
        responses += load(requests, clients, seconds)
        sizes.append(memory(process))
    time.sleep(2)
    recovered = count_ok(load(requests, CLIENTS, 3)) / 3
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(Counter(s for s, _ in responses).items()))
    yield f"{clients} concurrent clients, responses by status", statuses, "target: only 200, 429 and 503"
    megabytes = "; ".join(f"{size:,.0f}" for size in sizes)
    yield "memory of the server before and after, MB", megabytes, "target: flat"
    yield "throughput two seconds later, relative to before the overload", f"{recovered / capacity:.2f}", "target: 1.0"


def count_ok(responses: Responses) -> int:
    return sum(status == 200 for status, _ in responses)


def memory(process: int) -> float:
    """Return the proportional set size (PSS) of a process and its children, in MB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return pss + sum(memory(int(child)) for child in children)


def p(responses: Responses, percentile: float) -> float:
    """Return a percentile of the latency in milliseconds."""
    return float(np.percentile([1000 * seconds for status, seconds in responses if status == 200], percentile))


def spread(values: list[float]) -> str:
    """Return "median (minimum to maximum)"."""
    digits = 0 if max(values) > 100 else 2
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


if __name__ == "__main__":
    main()
