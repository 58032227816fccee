"""Frames of scenes: test accuracy when frames are split at random, and when scenes stay whole.

    python benchmarks/group_split.py [--seeds 0 1 2]

Draws scenes whose class is a weak hint (a faint stripe direction) beside strong but irrelevant colors, so that a
network can remember scenes. Each scene has several frames, shifted, brightened and noisy. Every classifier is also
measured on new scenes, which is the honest accuracy. Appends to benchmarks/results/trust.jsonl. Needs an idle machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from common import append, mean_and_range, multi_class, stamp
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, shift

import tinysight as ts

SCENES, FRAMES, NEW_SCENES = 24, 6, 200
CLASSES = ("horizontal", "vertical")
STRIPES = 8.0  # gray levels of the stripes that define the class
RULES: dict[str, dict[str, str]] = {
    "frames split at random": {},
    "scenes whole (`--group parent`)": {"group": "parent"},
    "near-duplicates whole (`--dedup keep-together`)": {"near_duplicates": "keep-together"},
}


def scene(label: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return a smooth colored image, (32, 32, 3), with faint stripes along the axis of its class."""
    noise = gaussian_filter(random.normal(size=(32, 32, 3)), (4, 4, 0))
    stripes = STRIPES * np.sin(np.arange(32) * np.pi / 2 + random.uniform(0, 2 * np.pi))
    direction = stripes[:, None, None] if label == 0 else stripes[None, :, None]
    colored: NDArray[np.float64] = 128 + 45 * noise / noise.std() + direction
    return colored


def frame(image: NDArray[np.float64], random: np.random.Generator) -> Image.Image:
    """Return a frame of a scene: shifted by up to a pixel, brighter or darker, noisy."""
    moved = shift(image, (*random.uniform(-1, 1, 2), 0), order=1, mode="nearest")
    noisy = moved * random.uniform(0.95, 1.05) + random.normal(0, 6, image.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def write(folder: Path, scenes: int, frames: int, random: np.random.Generator) -> None:
    """Write FOLDER/CLASS/SCENE/FRAME.png."""
    for number in range(scenes):
        label = number % 2
        image, target = scene(label, random), folder / CLASSES[label] / f"scene{number}"
        target.mkdir(parents=True)
        for index in range(frames):
            frame(image, random).save(target / f"{index}.png")


def measure(folder: Path, seed: int) -> dict[str, tuple[float, float]]:
    """Return by rule the accuracy on the test split, and on new scenes."""
    random = np.random.default_rng(seed)
    write(folder / "frames", SCENES, FRAMES, random)
    write(folder / "new" / "test", NEW_SCENES, 1, random)
    write(folder / "new" / "train", 4, 1, random)
    results = {}
    for number, (rule, options) in enumerate(RULES.items()):
        run = ts.train(
            "early-stopping",
            folder / "frames",
            out=folder / f"run{number}",
            seed=seed,
            epochs=40,
            overrides=["data.validation_fraction=0.2", "training.batch_size=16"],
            **options,  # type: ignore[arg-type]
        )
        leaked = multi_class(ts.evaluate(run)).accuracy
        results[rule] = leaked, multi_class(ts.evaluate(run, folder / "new")).accuracy
    return results


def main() -> None:
    """Measure every seed and append one row per rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--dry-run", action="store_true", help="print the rows without appending them")
    arguments = parser.parse_args()
    measured = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            measured.append(measure(Path(folder), seed))
    for rule in RULES:
        stated, honest = zip(*(results[rule] for results in measured), strict=True)
        row = {
            "claim": f"{SCENES} scenes of {FRAMES} frames, {rule}",
            "ours": f"test accuracy {mean_and_range(stated)}; on {NEW_SCENES} new scenes {mean_and_range(honest)}",
            "peer": "the same run on new scenes",
            "ratio": "",
            "n": len(measured),
            **stamp(),
        }
        print(json.dumps(row if arguments.dry_run else append("trust", row), ensure_ascii=False))


if __name__ == "__main__":
    main()
