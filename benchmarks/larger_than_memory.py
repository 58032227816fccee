"""Datasets larger than memory: decoding and training speed, peak memory, and accuracy.

    python benchmarks/larger_than_memory.py [speed] [accuracy] [--images 1000000] [--turns 3] [--seeds 0 1 2 3 4]
                                            [--recipe fast-85] [--folder DIR]

`speed` writes a folder of PNG files (CIFAR-10's images, each with different noise), decodes it, kills the decoding
halfway and resumes it. It then trains `fast-73` for one epoch, alternately from disk and from memory, each in a new
process. `accuracy` trains a recipe on a folder of CIFAR-10, with a full shuffle and with shuffle windows as small
relative to CIFAR-10 as the real ones are to a million images. Appends one row per claim to
benchmarks/results/larger_than_memory.jsonl. Needs CIFAR-10, about 8 GB of disk, memory for all images, and an idle
machine. --folder keeps the images for later runs.
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
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from common import append, mean_and_range, multi_class, stamp
from PIL import Image

from tinysight._util.progress import SilentProgress
from tinysight.data import pixels
from tinysight.data.dataset import Split
from tinysight.data.load import load
from tinysight.evaluation.evaluate import evaluate
from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.training import shuffle_buffer
from tinysight.training.precision import resolve_precision
from tinysight.training.request import TrainConfig
from tinysight.training.session import Session

IMAGE = 3 * 32 * 32  # bytes
MILLION = 1_000_000
TEST = 1000
NOISE = 6  # levels, up or down
NEVER = 2**62  # bytes; keeps all pixels in memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["speed", "accuracy"], help="speed, accuracy")
    parser.add_argument("--images", type=int, default=MILLION)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--recipe", default="fast-85", help="recipe for accuracy")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        name, folder, *rest = arguments.work
        return work(name, Path(folder), *rest)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        os.environ["TINYSIGHT_CACHE_DIR"] = str(Path(temporary, "cache"))  # CIFAR-10 itself is outside the cache
        if "speed" in arguments.parts:
            for line in speed(folder / f"{arguments.images}", arguments.images, arguments.turns):
                print(json.dumps(append("larger_than_memory", line)), flush=True)
        if "accuracy" in arguments.parts:
            line = accuracy(folder / "cifar10", arguments.recipe, arguments.seeds)
            print(json.dumps(append("larger_than_memory", line)), flush=True)


def speed(folder: Path, count: int, turns: int) -> Iterator[dict[str, Any]]:
    """Yield the rows about decoding speed, training speed and peak memory."""
    if not folder.exists():
        make_images(folder, count)
    yield {**decoding(folder, count), **stamp()}
    results: dict[str, list[dict[str, float]]] = {"file": [], "memory": []}
    for _ in range(turns):
        for where, rows in results.items():
            rows.append(run_in_process("train", folder, where))
            print(where, rows[-1], file=sys.stderr, flush=True)
    ours, peer = ([row["images_per_second"] for row in results[where]] for where in results)
    what = f"one epoch of `fast-73` on {count:,} images of 32x32"
    yield {
        "claim": f"{what}: images/s from disk (target: 90 % of in-memory)",
        "ours": f"{statistics.mean(ours):,.0f} ({min(ours):,.0f} to {max(ours):,.0f})",
        "peer": f"in memory {statistics.mean(peer):,.0f} ({min(peer):,.0f} to {max(peer):,.0f})",
        "ratio": f"{statistics.mean(ours) / statistics.mean(peer):.2f}",
        "n": turns,
        **stamp(),
    }
    peaks = {where: max(row["peak"] for row in rows) for where, rows in results.items()}
    anonymous = {where: max(row["own"] for row in rows) for where, rows in results.items()}
    yield {
        "claim": f"{what}: peak memory in GB (target: under 2 from disk)",
        "ours": f"{peaks['file']:.2f} resident, {anonymous['file']:.2f} without mapped files",
        "peer": f"in memory {peaks['memory']:.2f} resident, {anonymous['memory']:.2f} without mapped files",
        "ratio": f"{peaks['file'] / peaks['memory']:.2f}",
        "n": turns,
        **stamp(),
    }


def decoding(folder: Path, count: int) -> dict[str, Any]:
    """Decode a folder, kill it halfway and resume; return the row."""
    half, start = count * IMAGE // 2, time.perf_counter()
    process = subprocess.Popen(command("load", folder, "file"), stdout=subprocess.PIPE)
    while (written := in_cache()) < half and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = time.perf_counter() - start
    if process.returncode != -signal.SIGKILL:
        raise SystemExit("Decoding finished before the kill. Increase --images.")
    second, third = run_in_process("load", folder, "file"), run_in_process("load", folder, "file")
    kept = count + TEST - second["decoded"]
    return {
        "claim": f"{count:,} PNG files of 32x32 decoded into the cache; killed halfway and resumed",
        "ours": f"{written // IMAGE / before:,.0f} images/s before the kill, "
        f"{kept:,.0f} of {written // IMAGE:,} images kept, "
        f"{second['decoded'] / second['seconds']:,.0f} images/s after; peak memory {second['peak']:.2f} GB; "
        f"reopened in {third['seconds']:.1f} s",
        "peer": "",
        "ratio": "",
        "n": 1,
    }


def in_cache() -> int:
    """Return the bytes of pixels written to the cache so far."""
    return sum(path.stat().st_size for path in Path(os.environ["TINYSIGHT_CACHE_DIR"], "folders").glob("*/pixels.part"))


def accuracy(folder: Path, recipe: str, seeds: list[int]) -> dict[str, Any]:
    """Return the row about the accuracy with shuffle windows."""
    if not folder.exists():
        save_cifar10(folder)
    accuracies: dict[str, list[float]] = {"file": [], "memory": []}
    for seed in seeds:
        for where, values in accuracies.items():
            values.append(run_in_process("accuracy", folder, where, str(seed), recipe)["accuracy"])
            print(where, seed, values[-1], file=sys.stderr, flush=True)
    differences = [ours - peer for ours, peer in zip(accuracies["file"], accuracies["memory"], strict=True)]
    return {
        "claim": f"test accuracy of `{recipe}` on CIFAR-10, shuffled in windows compared with a full shuffle",
        "ours": mean_and_range(accuracies["file"]),
        "peer": f"full shuffle {mean_and_range(accuracies['memory'])}",
        "ratio": f"{statistics.mean(differences):+.4f} "
        f"({min(differences):+.4f} to {max(differences):+.4f}) (paired by seed)",
        "n": len(seeds),
        **stamp(),
    }


def command(name: str, folder: Path, *rest: str) -> list[str]:
    return [sys.executable, __file__, "--work", name, str(folder), *rest]


def run_in_process(name: str, folder: Path, *rest: str) -> dict[str, float]:
    """Return the measurements of some work in a new process."""
    completed = subprocess.run(command(name, folder, *rest), stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(completed.stdout)
    return figures


def work(name: str, folder: Path, where: str, seed: str = "0", recipe: str = "") -> None:
    """Run some work in this process, with all pixels on disk or in memory; print its measurements."""
    pixels.MAX_IN_MEMORY_BYTES = NEVER if where == "memory" else 0
    start = time.perf_counter()
    with anonymous_memory() as sizes:
        kinds: dict[str, Callable[[Path], dict[str, float]]] = {
            "load": decode,
            "train": one_epoch,
            "accuracy": partial(test_accuracy, name=recipe, seed=int(seed)),
        }
        figures = kinds[name](folder)
    figures |= {"seconds": time.perf_counter() - start, "peak": status("VmHWM"), "own": max(sizes)}
    print(json.dumps(figures))


def decode(folder: Path) -> dict[str, float]:
    counter = Counter()
    load(str(folder), progress=counter)
    return {"decoded": counter.decoded}


class Counter(SilentProgress):
    """Progress that counts the decoded images."""

    decoded = 0

    def advance(self, amount: int, **figures: float) -> None:
        """Add `amount` decoded images."""
        self.decoded += amount


def one_epoch(folder: Path) -> dict[str, float]:
    recipe = loading.load_recipe("fast-73")
    with tempfile.TemporaryDirectory() as out:
        precision = resolve_precision("auto", recipe)
        Session(TrainConfig(recipe, load(str(folder)), str(folder), Path(out, "run"), precision=precision)).run()
        (epoch,) = Run(Path(out, "run")).history()
    return {"images_per_second": epoch.images_per_second, "val_accuracy": epoch.val_accuracy}


def test_accuracy(folder: Path, name: str, seed: int) -> dict[str, float]:
    """Train with windows scaled from a million images to CIFAR-10, and blocks of the usual size."""
    shuffle_buffer.BUFFER_BYTES = shuffle_buffer.BUFFER_BYTES * 50_000 // MILLION
    with tempfile.TemporaryDirectory() as out:
        recipe, path = loading.load_recipe(name), Path(out, "run")
        precision = resolve_precision("auto", recipe)
        Session(TrainConfig(recipe, load(str(folder)), str(folder), path, seed, precision)).run()
        return {"accuracy": multi_class(evaluate(Run(path))).accuracy}


@contextmanager
def anonymous_memory() -> Iterator[list[float]]:
    """Sample the anonymous memory of this process every 0.05 s; the kernel keeps no peak of it."""
    sizes, stop = [0.0], threading.Event()

    def sample() -> None:
        while not stop.wait(0.05):
            sizes.append(status("RssAnon"))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        thread.join()


def status(key: str) -> float:
    """Return a value of /proc/self/status, in GB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024 / 1e9


def make_images(folder: Path, count: int) -> None:
    """Write `count` training images and TEST test images, on all cores."""
    start, starts = time.perf_counter(), range(0, count, 10_000)
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        ends = [min(start_index + 10_000, count) for start_index in starts]
        list(pool.map(partial(write, folder / "train"), starts, ends))
        list(pool.map(partial(write, folder / "test"), [0], [TEST]))
    print(f"{count / (time.perf_counter() - start):,.0f} images/s written", file=sys.stderr)


def write(folder: Path, start: int, end: int) -> None:
    """Write the images from index `start` to `end`: CIFAR-10's in a cycle, with new noise each time."""
    dataset = load("cifar10")
    part = dataset.test if folder.name == "test" else dataset.train
    random = np.random.default_rng(start)
    for number in range(start, end):
        index = number % len(part)
        noise = random.integers(-NOISE, NOISE + 1, part.pixels[index].shape, dtype=np.int16)
        image = (part.pixels[index] + noise).clip(0, 255).astype(np.uint8)
        save(folder / dataset.class_names[part.labels[index]] / f"{number:07}.png", image)


def save_cifar10(folder: Path) -> None:
    dataset = load("cifar10")
    for name, part in dataset.splits.items():
        save_part(folder / name, part, dataset.class_names)


def save_part(folder: Path, part: Split, names: tuple[str, ...]) -> None:
    for number, (image, label) in enumerate(zip(part.pixels, part.labels, strict=True)):
        save(folder / names[label] / f"{number:05}.png", image)


def save(path: Path, image: pixels.Pixels) -> None:
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(path, compress_level=1)


if __name__ == "__main__":
    main()
