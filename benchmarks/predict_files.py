"""Thousands of files: how fast `tinysight predict` is, as a whole process, beside decoding them and nothing else.

    python benchmarks/predict_files.py

Decoding is timed on one core, by threads (as `tinysight.data.intake.decoding.decode` does it, which takes a single one
for small files) and by processes; each figure is the best of three. Needs a machine with nothing else to do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from common import append, stamp
from PIL import Image

from tinysight.data.dataset import Pixels
from tinysight.data.intake import read_image
from tinysight.data.intake.decoding import decode

SIZE = (32, 32)
KINDS = [(5000, 32, "png"), (5000, 128, "jpeg"), (500, 1024, "jpeg")]  # how many, of what side in pixels, of what kind


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        tinysight("train", "early-stopping", "--data", "shapes:train=500", "--epochs", "1", "--out", str(run))
        for number, kind in enumerate(KINDS):
            pictures = Path(folder, str(number))
            pictures.mkdir()
            print(json.dumps(append("predict_files", row(kind, paint(pictures, *kind), run))), flush=True)


def row(kind: tuple[int, int, str], files: list[Path], run: Path) -> dict[str, object]:
    """Return the line of RESULTS.md."""
    count, side, name = kind
    alone = {way.__name__: best_of_three(partial(way, files)) for way in (one_core, threads, processes)}
    whole = best_of_three(partial(tinysight, "predict", str(run), str(files[0].parent), "--json"))
    start_up = best_of_three(partial(tinysight, "predict", str(run), str(files[0]), "--json"))
    after_the_first = (count - 1) / (whole - start_up)
    ways = ", ".join(f"{way.replace('_', ' ')} {count / seconds:,.0f}" for way, seconds in alone.items())
    return {
        "claim": f"images a second, {count:,} files, {name} of {side}x{side}",
        "ours": f"`predict`: {after_the_first:,.0f} after the first; {whole:.1f} s in all, {start_up:.1f} s for one",
        "peer": f"decoding alone: {ways}",
        "ratio": f"{after_the_first * alone['threads'] / count:.2f} of decoding's speed",
        "n": 3,
        **stamp(),
    }


def tinysight(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "tinysight", *arguments], check=True, capture_output=True)


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
