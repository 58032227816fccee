"""`train fast --minutes M` on small folders, compared with another version of tinysight.

    python benchmarks/small_folders.py --before OLD/src [240x3x32 ...] [--minutes 0.5] [--seeds 0 1 2]

A case is the number of training images, the number of classes, and the image size: 240x3x64. Its images are those of
CIFAR-10, the larger sizes upscaled; each seed draws others. 240xshapesx64 takes the built-in `shapes` instead, drawn
at that size. Both versions train in turn, with the same time. Appends one row per case to
benchmarks/results/small_folders.jsonl. Needs CIFAR-10.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import ROOT, append, stamp
from PIL import Image

from tinysight.data.dataset import Split
from tinysight.data.load import load
from tinysight.runs.run import Run

CLASSES = {2: ("cat", "dog"), 3: ("cat", "deer", "dog")}
SIZES = (32, 64, 96)
CASES = (*(f"{n}x{k}x{size}" for n, k in ((60, 2), (240, 3), (600, 10)) for size in SIZES), "240xshapesx64")
HELD_OUT = 600  # test images


@dataclass(frozen=True)
class Result:
    """The results of one training."""

    test_accuracy: float
    val_accuracy: float
    train_accuracy: float
    epochs: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES, help=f"default: {' '.join(CASES)}")
    parser.add_argument("--before", type=Path, required=True, help="the `src` folder of the other version")
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    for case in arguments.cases:
        before, now = [], []
        for seed in arguments.seeds:
            for source, results in ((arguments.before, before), (ROOT / "src", now)):
                results.append(measure(case, source, arguments.minutes, seed))
        print(json.dumps(append("small_folders", row(case, arguments.minutes, before, now))), flush=True)


def measure(case: str, source: Path, minutes: float, seed: int) -> Result:
    """Train with the tinysight in `source`, and evaluate the run with this one."""
    count, classes, size = case.split("x")
    with tempfile.TemporaryDirectory() as folder:
        data = f"shapes:train={count},test={HELD_OUT},seed={seed}"
        if classes != "shapes":
            data = make_folder(Path(folder, "images"), int(count), int(classes), int(size), seed)
        run = Path(folder, "run")
        command = [sys.executable, "-m", "tinysight", "train", "fast", "--minutes", str(minutes), "--data", data]
        options = ["--set", f"data.image_size={size}", "--seed", str(seed), "--out", str(run)]
        environment = os.environ | {"PYTHONPATH": str(source.resolve()), "TINYSIGHT_CACHE_DIR": f"{folder}/cache"}
        completed = subprocess.run([*command, *options], env=environment, capture_output=True, text=True)
        if completed.returncode != 0:
            raise SystemExit(completed.stderr)
        summary, last, test = Run(run).summary(), Run(run).history()[-1], load(data, int(size)).test
        probabilities = Run(run).classifier().probabilities(np.asarray(test.pixels))
    return Result(
        test_accuracy=float((probabilities.argmax(1) == test.labels).mean()),
        val_accuracy=summary.val_accuracy or 0.0,
        train_accuracy=last.accuracy,
        epochs=summary.epochs,
        seconds=summary.total_seconds,
    )


def make_folder(folder: Path, count: int, classes: int, size: int, seed: int) -> str:
    """Write `count` training and HELD_OUT test images as a folder of classes, and return its path."""
    dataset = load("cifar10")
    names = CLASSES.get(classes, dataset.class_names)
    random = np.random.default_rng(seed)
    for name in names:
        label = dataset.class_names.index(name)
        save(folder / "train" / name, dataset.train, label, count // len(names), size, random)
        save(folder / "test" / name, dataset.test, label, HELD_OUT // len(names), size, random)
    return str(folder)


def save(folder: Path, split: Split, label: int, count: int, size: int, random: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    for number in random.permutation(np.flatnonzero(split.labels == label))[:count]:
        image = Image.fromarray(split.pixels[number].transpose(1, 2, 0))
        image.resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


def row(case: str, minutes: float, before: list[Result], now: list[Result]) -> dict[str, object]:
    """Return the row for RESULTS.md."""
    count, classes, size = case.split("x")
    images = "`shapes`" if classes == "shapes" else f"{classes} classes of CIFAR-10"
    differences = [new.test_accuracy - old.test_accuracy for old, new in zip(before, now, strict=True)]
    return {
        "claim": f"test accuracy of `fast --minutes {minutes:g}`, {count} images ({images}) at {size}x{size}",
        "ours": describe(now),
        "peer": f"before: {describe(before)}",
        "ratio": f"{statistics.mean(differences):+.3f} ({'; '.join(f'{value:+.3f}' for value in differences)})",
        "n": len(now),
        "before": [vars(result) for result in before],
        "now": [vars(result) for result in now],
        **stamp(),
    }


def describe(results: list[Result]) -> str:
    """Return "0.620 (0.610; 0.630), validation 0.630, training 0.990, 120 to 130 epochs in 29 s"."""
    tests = [result.test_accuracy for result in results]
    validation, training, seconds = (
        statistics.mean(getattr(result, key) for result in results)
        for key in ("val_accuracy", "train_accuracy", "seconds")
    )
    epochs = [result.epochs for result in results]
    return (
        f"{statistics.mean(tests):.3f} ({'; '.join(f'{value:.3f}' for value in tests)}), validation {validation:.3f}, "
        f"training {training:.3f}, {min(epochs)} to {max(epochs)} epochs in {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
