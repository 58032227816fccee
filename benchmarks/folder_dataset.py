"""One minute of training on other datasets: `fast` compared with the notebooks' `deep`.

    python benchmarks/folder_dataset.py [--seeds 0 1 2]

The datasets are a folder of 64x64 images (cats, deer and dogs of CIFAR-10, upscaled and saved as PNG; 1,000 per class
for training, 200 for testing) and the built-in `shapes`. The recipes alternate. Appends one row per dataset to
benchmarks/results/own_images.jsonl. Needs CIFAR-10 and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from common import append, multi_class, stamp, tinysight
from PIL import Image

from tinysight.data.dataset import Split
from tinysight.data.load import load
from tinysight.runs.run import Run

CLASSES, SIDE = ("cat", "deer", "dog"), 64
LEARN, TEST = 1000, 200  # images per class


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder, "images"))
        choices = {
            f"a folder of {len(CLASSES)} classes of {SIDE}x{SIDE} images": (f"{folder}/images", SIDE),
            "`shapes`": ("shapes", 32),
        }
        for name, (data, size) in choices.items():
            turns = [(train("fast", data, size, seed), train("deep", data, size, seed)) for seed in arguments.seeds]
            print(json.dumps(append("own_images", row(name, turns)), ensure_ascii=False), flush=True)


def make_images(folder: Path) -> None:
    """Write the dataset as a folder of classes."""
    dataset = load("cifar10")
    for name in CLASSES:
        label = dataset.class_names.index(name)
        save(folder / "train" / name, dataset.train, label, LEARN)
        save(folder / "test" / name, dataset.test, label, TEST)


def save(folder: Path, part: Split, label: int, count: int) -> None:
    folder.mkdir(parents=True)
    for number in np.flatnonzero(part.labels == label)[:count]:
        image = Image.fromarray(part.pixels[number].transpose(1, 2, 0))
        image.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


def train(recipe: str, data: str, size: int, seed: int) -> float:
    """Return the test accuracy after one minute of training."""
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        options = ["--minutes", "1", "--set", f"data.image_size={size}", "--seed", str(seed), "--out", run]
        for arguments in (["train", recipe, "--data", data, *options], ["evaluate", run]):
            tinysight(*arguments)
        accuracy: float = multi_class(Run.open(Path(run)).metrics()).accuracy
    return accuracy


def row(name: str, turns: list[tuple[float, float]]) -> dict[str, object]:
    """Return the row for RESULTS.md."""
    ours, peers = zip(*turns, strict=True)
    differences = [fast - deep for fast, deep in turns]
    return {
        "claim": f"test accuracy after one minute, {name}",
        "ours": mean_and_values(ours),
        "peer": f"the notebooks' `deep` in tinysight: {mean_and_values(peers)}",
        "ratio": f"{statistics.mean(differences):+.4f} ({min(differences):+.4f} to {max(differences):+.4f})",
        "n": len(turns),
        **stamp(),
    }


def mean_and_values(values: tuple[float, ...]) -> str:
    return f"{statistics.mean(values):.4f} ({'; '.join(f'{value:.4f}' for value in values)})"


if __name__ == "__main__":
    main()
