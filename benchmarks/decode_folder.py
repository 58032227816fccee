"""Compare the ways to decode a folder of images: on one core, by threads, by processes.

Prints images per second for one core, for threads (what `tinysight.data.intake.decoding.decode` uses) and for
processes, each the best of three. Run it on a quiet machine:

    python benchmarks/decode_folder.py
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from tinysight.data.dataset import Pixels
from tinysight.data.intake import read_image
from tinysight.data.intake.decoding import decode

SIZE = (32, 32)
KINDS = [(5000, 32, "jpeg"), (5000, 32, "png"), (5000, 128, "jpeg"), (500, 1024, "jpeg"), (200, 1024, "png")]


def main() -> None:
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Pillow {PIL.__version__}")
    print(f"{'images':>20} {'one core':>10} {'threads':>10} {'processes':>10}   images/s")
    for count, side, kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            files = paint(Path(folder), count, side, kind)
            speeds = [count / best_of_three(partial(way, files)) for way in (one_core, threads, processes)]
        print(f"{count:>8} {kind:>5} {side:>5} {speeds[0]:>10.0f} {speeds[1]:>10.0f} {speeds[2]:>10.0f}")


def paint(folder: Path, count: int, side: int, kind: str) -> list[Path]:
    """Write pictures with broad shapes and some noise, so that they compress about like photos."""
    random = np.random.default_rng(0)
    files = [folder / f"{number}.{kind}" for number in range(count)]
    for file in files:
        coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        broad = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.int16)
        noise = random.integers(-12, 13, broad.shape)
        Image.fromarray((broad + noise).clip(0, 255).astype(np.uint8)).save(file)
    return files


def best_of_three(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def one_core(files: Sequence[Path]) -> list[Pixels]:
    return [read_image(file, SIZE) for file in files]


def threads(files: Sequence[Path]) -> Pixels:
    return decode(files, SIZE)[0]


def processes(files: Sequence[Path]) -> list[Pixels]:
    # Spawned, since a process that has started torch's threads must not fork.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        return list(chain.from_iterable(pool.map(one_core, batches(files))))


def batches(files: Sequence[Path]) -> list[Sequence[Path]]:
    return [files[start : start + 64] for start in range(0, len(files), 64)]


if __name__ == "__main__":
    main()
