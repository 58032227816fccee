"""A minute for images that nobody tuned for: `train fast --minutes 1` against the notebooks' `deep` in the same minute.

    python benchmarks/own_images.py [--seeds 0 1 2]

On a folder of three classes of 64x64 pictures (cats, deer and dogs of CIFAR-10, enlarged and saved as PNG, a thousand
to learn from and two hundred to test with of each), and on the built-in `shapes`. In turn. Appends one line a dataset
to benchmarks/results/own_images.jsonl. Needs CIFAR-10 and a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from common import append, stamp, tinysight
from PIL import Image

from tinysight.data.dataset import Part
from tinysight.data.load import load
from tinysight.runs.run import Run

CLASSES, SIDE = ("cat", "deer", "dog"), 64
LEARN, TEST = 1000, 200  # pictures of each class


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder, "pictures"))
        choices = {
            f"a folder of {len(CLASSES)} classes of {SIDE}x{SIDE} pictures": (f"{folder}/pictures", SIDE),
            "`shapes`": ("shapes", 32),
        }
        for name, (data, size) in choices.items():
            turns = [(train("fast", data, size, seed), train("deep", data, size, seed)) for seed in arguments.seeds]
            print(json.dumps(append("own_images", row(name, turns)), ensure_ascii=False), flush=True)


def make_pictures(folder: Path) -> None:
    """Save the folder that `--data` takes."""
    dataset = load("cifar10")
    for name in CLASSES:
        label = dataset.class_names.index(name)
        save(folder / "train" / name, dataset.train, label, LEARN)
        save(folder / "test" / name, dataset.test, label, TEST)


def save(folder: Path, part: Part, label: int, count: int) -> None:
    folder.mkdir(parents=True)
    for number in np.flatnonzero(part.labels == label)[:count]:
        picture = Image.fromarray(part.pixels[number].transpose(1, 2, 0))
        picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


def train(recipe: str, data: str, size: int, seed: int) -> float:
    """Return the accuracy on the test images after a minute."""
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        options = ["--minutes", "1", "--set", f"data.image_size={size}", "--seed", str(seed), "--out", run]
        for arguments in (["train", recipe, "--data", data, *options], ["evaluate", run]):
            tinysight(*arguments)
        accuracy: float = Run.open(Path(run)).metrics()["accuracy"]
    return accuracy


def row(name: str, turns: list[tuple[float, float]]) -> dict[str, object]:
    """Return the line of RESULTS.md."""
    ours, others = zip(*turns, strict=True)
    differences = [one - other for one, other in turns]
    return {
        "claim": f"test accuracy after a minute, {name}",
        "ours": told(ours),
        "peer": f"the notebooks' `deep` in tinysight: {told(others)}",
        "ratio": f"{statistics.mean(differences):+.4f} ({min(differences):+.4f} to {max(differences):+.4f})",
        "n": len(turns),
        **stamp(),
    }


def told(values: tuple[float, ...]) -> str:
    return f"{statistics.mean(values):.4f} ({'; '.join(f'{value:.4f}' for value in values)})"


if __name__ == "__main__":
    main()
