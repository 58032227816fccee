"""Speed of `tinysight predict` on thousands of files, compared with decoding only.

    python benchmarks/predict_files.py

Decoding is timed on one core, with threads (`decode_images`, which uses a single thread for small files) and with
processes. Each time is the best of three. Needs an idle machine.
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
from tinysight.data.image_io import read_image
from tinysight.data.image_io.decoding import decode_images

SIZE = (32, 32)
KINDS = [(5000, 32, "png"), (5000, 128, "jpeg"), (500, 1024, "jpeg")]  # count, side in pixels, format


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        tinysight("train", "early-stopping", "--data", "shapes:train=500", "--epochs", "1", "--out", str(run))
        for number, kind in enumerate(KINDS):
            images = Path(folder, str(number))
            images.mkdir()
            print(json.dumps(append("predict_files", row(kind, make_images(images, *kind), run))), flush=True)


def row(kind: tuple[int, int, str], files: list[Path], run: Path) -> dict[str, object]:
    """Return the row for RESULTS.md."""
    count, side, name = kind
    decoding = {method.__name__: best_of_three(partial(method, files)) for method in (one_core, threads, processes)}
    total = best_of_three(partial(tinysight, "predict", str(run), str(files[0].parent), "--json"))
    start_up = best_of_three(partial(tinysight, "predict", str(run), str(files[0]), "--json"))
    images_per_second = (count - 1) / (total - start_up)
    methods = ", ".join(f"{method.replace('_', ' ')} {count / seconds:,.0f}" for method, seconds in decoding.items())
    return {
        "claim": f"prediction, images/s, {count:,} files, {name} of {side}x{side}",
        "ours": f"`predict`: {images_per_second:,.0f} images/s after the first image; "
        f"{total:.1f} s in total, {start_up:.1f} s for one image",
        "peer": f"decoding only: {methods}",
        "ratio": f"{images_per_second * decoding['threads'] / count:.2f} of the decoding speed",
        "n": 3,
        **stamp(),
    }


def tinysight(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "tinysight", *arguments], check=True, capture_output=True)


def make_images(folder: Path, count: int, side: int, kind: str) -> list[Path]:
    """Write images of coarse shapes with noise, which compress about like photographs."""
    random = np.random.default_rng(0)
    files = [folder / f"{number}.{kind}" for number in range(count)]
    for file in files:
        coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.int16)
        noise = random.integers(-12, 13, smooth.shape)
        Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8)).save(file)
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
    return decode_images(files, SIZE)[0]


def processes(files: Sequence[Path]) -> list[Pixels]:
    # spawn: a process with running torch threads must not fork.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        return list(chain.from_iterable(pool.map(one_core, batches(files))))


def batches(files: Sequence[Path]) -> list[Sequence[Path]]:
    return [files[start : start + 64] for start in range(0, len(files), 64)]


if __name__ == "__main__":
    main()
