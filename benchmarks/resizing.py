"""Ways to resize and crop large images for a small classifier, compared by loss and accuracy.

    python benchmarks/resizing.py FOLDER RUN...

FOLDER holds large images in one subfolder per class, named like the classes of the runs. Each method is evaluated with
each run; the losses are compared per image. Appends to benchmarks/results/photos.jsonl.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import append, stamp
from PIL import Image, ImageOps

from tinysight.data.crops import SIX_CROP
from tinysight.data.image_io.image_file import FORMATS, apply_exif_orientation, extract_crops, to_rgb
from tinysight.models.classifier import Classifier
from tinysight.runs.run import Run

Crops = list[Image.Image]
LANCZOS = Image.Resampling.LANCZOS


def stretch(image: Image.Image, side: int) -> Crops:
    return [image.resize((side, side), LANCZOS)]


def center_crop(image: Image.Image, side: int) -> Crops:
    return [ImageOps.fit(image, (side, side), LANCZOS)]


def pad(image: Image.Image, side: int) -> Crops:
    mean = tuple(int(level) for level in np.asarray(image).mean((0, 1)))
    return [ImageOps.pad(image, (side, side), LANCZOS, color=mean)]


def center_crop_and_stretch(image: Image.Image, side: int) -> Crops:
    return [*center_crop(image, side), *stretch(image, side)]


def three_crops(image: Image.Image, side: int) -> Crops:
    return [ImageOps.fit(image, (side, side), LANCZOS, centering=(place, place)) for place in (0.0, 0.5, 1.0)]


def three_crops_and_stretch(image: Image.Image, side: int) -> Crops:
    return [*three_crops(image, side), *stretch(image, side)]


def center_and_tighter(image: Image.Image, side: int) -> Crops:
    """Return the center crop, and a tighter one: an eighth of the shorter side less on each edge."""
    return [*center_crop(image, side), ImageOps.fit(image, (side, side), LANCZOS, bleed=0.125)]


def three_and_tighter(image: Image.Image, side: int) -> Crops:
    """Return three crops along the longer side, and a tighter one at each: the crops of CIFAR-10 classifiers."""
    return [Image.fromarray(crop.transpose(1, 2, 0)) for crop in extract_crops(image, (side, side), SIX_CROP)]


METHODS: dict[str, Callable[[Image.Image, int], Crops]] = {
    "center crop": center_crop,
    "stretched": stretch,
    "padded with the mean color": pad,
    "center crop and stretched, averaged": center_crop_and_stretch,
    "three crops, averaged": three_crops,
    "three crops and stretched, averaged": three_crops_and_stretch,
    "center crop and a tighter crop, averaged": center_and_tighter,
    "three crops, and a tighter crop at each, averaged": three_and_tighter,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    files = sorted(file for file in arguments.folder.glob("*/*") if file.is_file())
    classifiers = [Run.open(run).classifier() for run in arguments.runs]
    results = {name: evaluate(method, files, classifiers) for name, method in METHODS.items()}
    for name, scores in results.items():
        row = {
            "claim": f"large images, {name}: accuracy; mean loss in nats",
            "ours": summarize(scores),
            "peer": f"center crop: {summarize(results['center crop'])}",
            "ratio": difference(scores, results["center crop"]),
            "n": f"{len(files)} images, {len(classifiers)} classifiers",
            **stamp(),
        }
        print(json.dumps(append("photos", row), ensure_ascii=False))


def evaluate(
    method: Callable[[Image.Image, int], Crops], files: list[Path], classifiers: list[Classifier]
) -> np.ndarray:
    """Return (classifiers, images, 2): the probability of the true class, and whether it is the largest."""
    return np.array([[evaluate_one(method, file, classifier) for file in files] for classifier in classifiers])


def evaluate_one(
    method: Callable[[Image.Image, int], Crops], file: Path, classifier: Classifier
) -> tuple[float, float]:
    with Image.open(file, formats=FORMATS) as image:
        crops = method(to_rgb(apply_exif_orientation(image)), classifier.image_size)
    pixels = np.stack([np.asarray(crop).transpose(2, 0, 1) for crop in crops])
    probabilities = classifier.probabilities(pixels).mean(0)
    label = classifier.class_names.index(file.parent.name)
    return float(probabilities[label]), float(probabilities.argmax() == label)


def summarize(scores: np.ndarray) -> str:
    return f"{scores[..., 1].mean():.3f}; {-np.log(scores[..., 0]).mean():.3f}"


def difference(scores: np.ndarray, reference: np.ndarray) -> str:
    """Return the mean difference in loss, with a 95 % bootstrap interval over the images."""
    differences = (-np.log(scores[..., 0]) + np.log(reference[..., 0])).mean(0)
    draws = np.random.default_rng(0).integers(0, len(differences), (2000, len(differences)))
    low, high = np.percentile(differences[draws].mean(1), [2.5, 97.5])
    return f"loss {differences.mean():+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
