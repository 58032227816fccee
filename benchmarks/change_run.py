"""Adding a class to a probe: seconds of the command, and the difference from training from scratch.

    python benchmarks/change_run.py [--repeats 5]

Trains a probe on 50 images of each class of CIFAR-10, saved as JPEG files of 256 pixels. Then adds 50 drawn shapes as
an 11th class, with other images in each repeat, and trains the recipe from scratch on the same table with an empty
cache. The time is that of the whole command, start of Python included. Appends to
benchmarks/results/change_run.jsonl. Needs the extra `pretrained`, and TINYSIGHT_DATA_DIR or CIFAR-10 in one of the
usual locations.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from common import append, mean_and_range, stamp, tinysight
from PIL import Image

import tinysight as ts
from tinysight.data.dataset import Pixels
from tinysight.runs.run import Run

PER_CLASS, SIDE = 50, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), Path(name, "cache")
        os.environ["TINYSIGHT_CACHE_DIR"] = str(cache)
        save_images(folder)
        tinysight("train", "probe", "--data", str(folder / "images"), "--out", str(folder / "before"))
        shapes = ts.load_dataset(f"shapes:train={PER_CLASS * repeats},test=10", 32).train.pixels
        seconds, weights, probabilities = list[float](), list[float](), list[float]()
        for repeat in range(repeats):
            new, after, scratch = (folder / f"{kind}-{repeat}" for kind in ("shapes", "after", "scratch"))
            save(shapes[repeat::repeats], new)
            start = time.perf_counter()
            tinysight("add", str(folder / "before"), "shape", str(new), "--out", str(after))
            seconds.append(time.perf_counter() - start)
            os.environ["TINYSIGHT_CACHE_DIR"] = str(folder / f"empty-{repeat}")
            tinysight("train", "probe", "--data", str(after / "dataset.csv"), "--out", str(scratch))
            os.environ["TINYSIGHT_CACHE_DIR"] = str(cache)
            difference = largest_differences(Run.open(after), Run.open(scratch))
            weights.append(difference[0])
            probabilities.append(difference[1])
    row = {
        "claim": f"`add`: {PER_CLASS} images of a new class, to a probe with 10 classes and {10 * PER_CLASS} images; "
        "seconds of the command, and the largest difference from training from scratch",
        "ours": f"{mean_and_range(seconds)} s; weights {max(weights):.1e}, probabilities {max(probabilities):.1e}",
        "peer": "",
        "ratio": "",
        "n": repeats,
    }
    print(json.dumps(append("change_run", row | stamp()), ensure_ascii=False))


def save_images(folder: Path) -> None:
    """Save the first images of each class of CIFAR-10 in `folder`/images."""
    official = ts.load_dataset("cifar10")
    for label, name in enumerate(official.class_names):
        rows = np.flatnonzero(official.train.labels == label)[:PER_CLASS]
        save(official.train.pixels[rows], folder / "images" / name)


def save(pixels: Pixels, folder: Path) -> None:
    """Save images as enlarged JPEG files."""
    folder.mkdir(parents=True)
    for number, image in enumerate(pixels):
        enlarged = Image.fromarray(image.transpose(1, 2, 0)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        enlarged.save(folder / f"{number:03}.jpg", quality=90)


def largest_differences(run: Run, other: Run) -> tuple[float, float]:
    """Return the largest differences of the weights, and of the probabilities of the test images."""
    first, second = run.classifier(), other.classifier()
    others = second.network.state_dict()
    weights = max(float((w - others[name]).abs().max()) for name, w in first.network.state_dict().items())
    test = ts.load_dataset(run.dataset_table, run.recipe().data.image_size).test.pixels
    probabilities = np.abs(first.probabilities(test) - second.probabilities(test)).max()
    return weights, float(probabilities)


if __name__ == "__main__":
    main()
