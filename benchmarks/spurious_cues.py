"""Spurious cues: how often planted ones are found, and how often one is found where there is none.

    TINYSIGHT_DATA_DIR=DIR python benchmarks/spurious_cues.py [--draws 10] [--clean 20] [--images 200]

For each draw, the images of one class of CIFAR-10 are divided at random into two classes, and all images of the second
are changed. So no other property tells the class. Without a change, every cue that is found is a false finding.
Appends to benchmarks/results/spurious_cues.jsonl.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import append, stamp
from PIL import Image, ImageEnhance, ImageFilter

import tinysight as ts
from tinysight.data.dataset import Pixels
from tinysight.evaluation.spurious_cues import SpuriousCues, find_spurious_cues


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--clean", type=int, default=20)
    parser.add_argument("--images", type=int, default=200, help="images of each of the two classes")
    arguments = parser.parse_args()
    what = f"{arguments.images} images per class"
    for cue, (change, options) in PLANTED.items():
        found = sum(
            cue in {score.name for score in find(draw, arguments.images, change, options).found}
            for draw in range(arguments.draws)
        )
        add(f"{what}: planted cue {cue} is found", found, arguments.draws, arguments.draws)
    false = sum(bool(find(draw, arguments.images, same, {}).found) for draw in range(arguments.clean))
    add(f"{what}: a cue is found where there is none", false, arguments.clean, arguments.clean // 20)


def add(claim: str, count: int, draws: int, target: int) -> None:
    row = {
        "claim": claim,
        "ours": f"{count} of {draws}",
        "peer": f"target: {target} of {draws}",
        "ratio": "",
        "n": draws,
    }
    append("spurious_cues", row | stamp())
    print(f"{claim}: {count} of {draws}", flush=True)


def find(draw: int, n: int, change: Callable[[Image.Image], Image.Image], options: dict[str, Any]) -> SpuriousCues:
    """Return the cues of a folder of two classes, of which the images of the second are changed."""
    train = ts.load_dataset("cifar10").train
    members = np.flatnonzero(train.labels == draw % 10)
    chosen = np.random.default_rng(draw).permutation(members)[: 2 * n]
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), train.pixels[chosen[:n]], "a", same, {})
        write(Path(name), train.pixels[chosen[n:]], "b", change, options)
        result = find_spurious_cues(ts.load_dataset(name))
    if result is None:
        raise SystemExit("Too few images. Increase --images.")
    return result


def write(
    folder: Path, pixels: Pixels, name: str, change: Callable[[Image.Image], Image.Image], options: dict[str, Any]
) -> None:
    (folder / name).mkdir()
    values = {"suffix": "png"} | options
    for number, image in enumerate(pixels):
        changed = change(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))))
        changed.save(folder / name / f"{number}.{values['suffix']}")


def same(image: Image.Image) -> Image.Image:
    return image


def brighten(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.3)


def redden(image: Image.Image) -> Image.Image:
    red, green, blue = image.split()
    return Image.merge("RGB", (red.point(lambda value: min(255, value + 20)), green, blue))


def blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(0.7))


def frame(image: Image.Image) -> Image.Image:
    framed = image.copy()
    framed.paste((40, 40, 40), (0, 0, image.width, 2))
    return framed


def watermark(image: Image.Image) -> Image.Image:
    marked = image.copy()
    marked.paste((255, 255, 255), (1, 26, 9, 30))
    return marked


def enlarge(image: Image.Image) -> Image.Image:
    return image.resize((36, 32))


PLANTED: dict[str, tuple[Callable[[Image.Image], Image.Image], dict[str, Any]]] = {
    "brightness": (brighten, {}),
    "color": (redden, {}),
    "sharpness": (blur, {}),
    "border": (frame, {}),
    "background": (watermark, {}),
    "image size": (enlarge, {}),
    "file size": (same, {"suffix": "bmp"}),
    "file format": (same, {"suffix": "bmp"}),
}


if __name__ == "__main__":
    main()
