"""A million images from a folder: how fast they are decoded and learned from, in how much memory, and how well.

    python benchmarks/larger_than_memory.py [speed] [accuracy] [--images 1000000] [--turns 3] [--seeds 0 1 2 3 4]
                                            [--recipe fast-85] [--folder DIR]

`speed` writes that many pictures (CIFAR-10's, each with noise of its own, as PNG), has them decoded, kills that
half-way and has it gone on with, and trains `fast-73` on them for one epoch, from the file and with all of them in
memory in turn, each in a process of its own. `accuracy` trains a recipe on CIFAR-10 as a folder, shuffled as a whole
and as a file that is as many times larger than a window as a million images are. Appends one line a claim to
benchmarks/results/larger_than_memory.jsonl. Needs CIFAR-10, some 8 GB of disk (and as much memory as the images in it),
and a machine with nothing else to do. With --folder the pictures stay, and are used again if they are there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from common import append, stamp, told
from PIL import Image

from tinysight.data import pixels
from tinysight.data.dataset import Part
from tinysight.data.load import load
from tinysight.evaluation.evaluate import evaluate
from tinysight.progress import Silent
from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.training import streaming
from tinysight.training.precision import choose
from tinysight.training.train import Plan, train

IMAGE = 3 * 32 * 32  # bytes
MILLION = 1_000_000
TEST = 1000
NOISE = 6  # levels, up or down
NEVER = 2**62


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["speed", "accuracy"], help="speed, accuracy")
    parser.add_argument("--images", type=int, default=MILLION)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--recipe", default="fast-85", help="whose accuracy is measured")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--work", nargs="+", help="for the processes this script starts")
    arguments = parser.parse_args()
    if arguments.work:
        name, folder, *rest = arguments.work
        return work(name, Path(folder), *rest)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        os.environ["TINYSIGHT_CACHE_DIR"] = str(Path(temporary, "cache"))  # CIFAR-10 itself is found elsewhere
        if "speed" in arguments.parts:
            for line in speed(folder / f"{arguments.images}", arguments.images, arguments.turns):
                print(json.dumps(append("larger_than_memory", line)), flush=True)
        if "accuracy" in arguments.parts:
            line = accuracy(folder / "cifar10", arguments.recipe, arguments.seeds)
            print(json.dumps(append("larger_than_memory", line)), flush=True)


def speed(folder: Path, count: int, turns: int) -> Iterator[dict[str, Any]]:
    """Yield the lines on decoding, on the pace of training and on its memory."""
    if not folder.exists():
        make_pictures(folder, count)
    yield {**decoding(folder, count), **stamp()}
    found: dict[str, list[dict[str, float]]] = {"file": [], "memory": []}
    for _ in range(turns):
        for where, rows in found.items():
            rows.append(worked("train", folder, where))
            print(where, rows[-1], file=sys.stderr, flush=True)
    ours, peer = ([row["images_per_second"] for row in found[where]] for where in found)
    what = f"one epoch of `fast-73` on {count:,} images of 32x32"
    yield {
        "claim": f"{what}: images a second from the file, 90 % of those in memory or more",
        "ours": f"{statistics.mean(ours):,.0f} ({min(ours):,.0f} to {max(ours):,.0f})",
        "peer": f"in memory {statistics.mean(peer):,.0f} ({min(peer):,.0f} to {max(peer):,.0f})",
        "ratio": f"{statistics.mean(ours) / statistics.mean(peer):.2f}",
        "n": turns,
        **stamp(),
    }
    peaks = {where: max(row["peak"] for row in rows) for where, rows in found.items()}
    own = {where: max(row["own"] for row in rows) for where, rows in found.items()}
    yield {
        "claim": f"{what}: peak memory of the process in GB, from the file under 2",
        "ours": f"{peaks['file']:.2f} resident, {own['file']:.2f} without mapped files",
        "peer": f"in memory {peaks['memory']:.2f} resident, {own['memory']:.2f} without mapped files",
        "ratio": f"{peaks['file'] / peaks['memory']:.2f}",
        "n": turns,
        **stamp(),
    }


def decoding(folder: Path, count: int) -> dict[str, Any]:
    """Decode a folder, kill it half-way, and have it gone on with; return the line on that."""
    half, start = count * IMAGE // 2, time.perf_counter()
    process = subprocess.Popen(command("load", folder, "file"), stdout=subprocess.PIPE)
    while (written := in_cache()) < half and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = time.perf_counter() - start
    if process.returncode != -signal.SIGKILL:
        raise SystemExit("It was done before it could be killed: take more images.")
    second, third = worked("load", folder, "file"), worked("load", folder, "file")
    kept = count + TEST - second["decoded"]
    return {
        "claim": f"{count:,} pictures of 32x32 (PNG) decoded into the cache, killed half-way and gone on with",
        "ours": f"{written // IMAGE / before:,.0f} images a second before, {kept:,.0f} of {written // IMAGE:,} kept, "
        f"{second['decoded'] / second['seconds']:,.0f} a second after; peak memory {second['peak']:.2f} GB; opened "
        f"again in {third['seconds']:.1f} s",
        "peer": "",
        "ratio": "",
        "n": 1,
    }


def in_cache() -> int:
    """Return the bytes of pixels that are in the cache by now."""
    return sum(path.stat().st_size for path in Path(os.environ["TINYSIGHT_CACHE_DIR"], "folders").glob("*/pixels.part"))


def accuracy(folder: Path, recipe: str, seeds: list[int]) -> dict[str, Any]:
    """Return the line on how well is learned from windows."""
    if not folder.exists():
        save_cifar10(folder)
    found: dict[str, list[float]] = {"file": [], "memory": []}
    for seed in seeds:
        for where, figures in found.items():
            figures.append(worked("accuracy", folder, where, str(seed), recipe)["accuracy"])
            print(where, seed, figures[-1], file=sys.stderr, flush=True)
    apart = [ours - peer for ours, peer in zip(found["file"], found["memory"], strict=True)]
    return {
        "claim": f"test accuracy of `{recipe}` on CIFAR-10, shuffled in windows, as well as shuffled as a whole",
        "ours": told(found["file"]),
        "peer": f"as a whole {told(found['memory'])}",
        "ratio": f"{statistics.mean(apart):+.4f} ({min(apart):+.4f} to {max(apart):+.4f}), seed by seed",
        "n": len(seeds),
        **stamp(),
    }


def command(name: str, folder: Path, *rest: str) -> list[str]:
    return [sys.executable, __file__, "--work", name, str(folder), *rest]


def worked(name: str, folder: Path, *rest: str) -> dict[str, float]:
    """Return the figures of some work done in a process of its own."""
    done = subprocess.run(command(name, folder, *rest), stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def work(name: str, folder: Path, where: str, seed: str = "0", recipe: str = "") -> None:
    """Print the figures of some work done in this process, with all pixels in a file or in memory."""
    pixels.LARGE = NEVER if where == "memory" else 0
    start = time.perf_counter()
    with own_memory() as own:
        accuracy_by = partial(test_accuracy, name=recipe, seed=int(seed))
        figures = {"load": decode, "train": one_epoch, "accuracy": accuracy_by}[name](folder)
    figures |= {"seconds": time.perf_counter() - start, "peak": status("VmHWM"), "own": max(own)}
    print(json.dumps(figures))


def decode(folder: Path) -> dict[str, float]:
    counter = Counter()
    load(str(folder), progress=counter)
    return {"decoded": counter.decoded}


class Counter(Silent):
    """Counts what is decoded."""

    decoded = 0

    def advance(self, amount: int, **figures: float) -> None:
        """Say that `amount` more images are decoded."""
        self.decoded += amount


def one_epoch(folder: Path) -> dict[str, float]:
    recipe = loading.load("fast-73")
    with tempfile.TemporaryDirectory() as out:
        train(Plan(recipe, load(str(folder)), str(folder), 0, choose("auto", recipe)), Path(out, "run"))
        (epoch,) = Run(Path(out, "run")).history()
    return {"images_per_second": epoch.images_per_second, "val_accuracy": epoch.val_accuracy}


def test_accuracy(folder: Path, name: str, seed: int) -> dict[str, float]:
    """Train with windows that are to CIFAR-10 what they are to a million images; blocks stay as large as they are."""
    streaming.WINDOW = streaming.WINDOW * 50_000 // MILLION
    with tempfile.TemporaryDirectory() as out:
        recipe, path = loading.load(name), Path(out, "run")
        train(Plan(recipe, load(str(folder)), str(folder), seed, choose("auto", recipe)), path)
        return {"accuracy": evaluate(Run(path))["accuracy"]}


@contextmanager
def own_memory() -> Iterator[list[float]]:
    """Look all the time how much of this process' memory is no mapped file; the system keeps no peak of that."""
    found, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            found.append(status("RssAnon"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def status(key: str) -> float:
    """Return what Linux says of this process, in GB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024 / 1e9


def make_pictures(folder: Path, count: int) -> None:
    """Write `count` pictures to learn from, and a few to test with, on all cores."""
    start, shares = time.perf_counter(), range(0, count, 10_000)
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        ends = [min(share + 10_000, count) for share in shares]
        list(pool.map(partial(write, folder / "train"), shares, ends))
        list(pool.map(partial(write, folder / "test"), [0], [TEST]))
    print(f"{count / (time.perf_counter() - start):,.0f} pictures a second written", file=sys.stderr)


def write(folder: Path, start: int, end: int) -> None:
    """Write pictures by number: those of CIFAR-10 again and again, each time with other noise."""
    dataset = load("cifar10")
    part = dataset.test if folder.name == "test" else dataset.train
    random = np.random.default_rng(start)
    for number in range(start, end):
        place = number % len(part)
        noise = random.integers(-NOISE, NOISE + 1, part.pixels[place].shape, dtype=np.int16)
        image = (part.pixels[place] + noise).clip(0, 255).astype(np.uint8)
        save(folder / dataset.class_names[part.labels[place]] / f"{number:07}.png", image)


def save_cifar10(folder: Path) -> None:
    dataset = load("cifar10")
    for name, part in dataset.parts.items():
        save_part(folder / name, part, dataset.class_names)


def save_part(folder: Path, part: Part, names: tuple[str, ...]) -> None:
    for number, (image, label) in enumerate(zip(part.pixels, part.labels, strict=True)):
        save(folder / names[label] / f"{number:05}.png", image)


def save(path: Path, image: pixels.Pixels) -> None:
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(path, compress_level=1)


if __name__ == "__main__":
    main()
