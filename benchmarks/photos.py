"""How a large photograph best becomes a small picture: by how surely classifiers then tell what is on it.

    python benchmarks/photos.py FOLDER RUN...

FOLDER holds ordinary photographs, a folder a class, named as the classes of the runs are. Every way of fitting them is
asked of every run; the probability that is given to the truth is compared photograph by photograph. Appends to
benchmarks/results/photos.jsonl.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import append, stamp
from PIL import Image, ImageOps

from tinysight.data.intake.looking import look_at
from tinysight.data.intake.reading import FORMATS
from tinysight.data.intake.rgb import opaque_rgb, upright
from tinysight.data.looks import CLOSER
from tinysight.models.classifier import Classifier
from tinysight.runs.run import Run

Views = list[Image.Image]
LANCZOS = Image.Resampling.LANCZOS


def squashed(photo: Image.Image, side: int) -> Views:
    return [photo.resize((side, side), LANCZOS)]


def cut(photo: Image.Image, side: int) -> Views:
    return [ImageOps.fit(photo, (side, side), LANCZOS)]


def padded(photo: Image.Image, side: int) -> Views:
    mean = tuple(int(level) for level in np.asarray(photo).mean((0, 1)))
    return [ImageOps.pad(photo, (side, side), LANCZOS, color=mean)]


def cut_and_squashed(photo: Image.Image, side: int) -> Views:
    return [*cut(photo, side), *squashed(photo, side)]


def three_cuts(photo: Image.Image, side: int) -> Views:
    return [ImageOps.fit(photo, (side, side), LANCZOS, centering=(place, place)) for place in (0.0, 0.5, 1.0)]


def three_cuts_and_squashed(photo: Image.Image, side: int) -> Views:
    return [*three_cuts(photo, side), *squashed(photo, side)]


def closer_too(photo: Image.Image, side: int) -> Views:
    """Cut to the centre, and closer: an eighth of the shorter side less on every edge."""
    return [*cut(photo, side), ImageOps.fit(photo, (side, side), LANCZOS, bleed=0.125)]


def three_cuts_and_closer(photo: Image.Image, side: int) -> Views:
    """Cut at three places, and closer at each: as classifiers of CIFAR-10 look at photographs."""
    return [Image.fromarray(look.transpose(1, 2, 0)) for look in look_at(photo, (side, side), CLOSER)]


WAYS: dict[str, Callable[[Image.Image, int], Views]] = {
    "cut to the centre": cut,
    "squashed": squashed,
    "padded with its mean colour": padded,
    "cut and squashed, averaged": cut_and_squashed,
    "three cuts, averaged": three_cuts,
    "three cuts and squashed, averaged": three_cuts_and_squashed,
    "cut, and closer, averaged": closer_too,
    "three cuts, and closer at each, averaged": three_cuts_and_closer,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    files = sorted(file for file in arguments.folder.glob("*/*") if file.is_file())
    classifiers = [Run.open(run).classifier() for run in arguments.runs]
    found = {name: asked(way, files, classifiers) for name, way in WAYS.items()}
    for name, chances in found.items():
        row = {
            "claim": f"photographs {name}: the share told right; the mean loss, nats",
            "ours": told(chances),
            "peer": f"cut to the centre: {told(found['cut to the centre'])}",
            "ratio": difference(chances, found["cut to the centre"]),
            "n": f"{len(files)} photographs, {len(classifiers)} classifiers",
            **stamp(),
        }
        print(json.dumps(append("photos", row), ensure_ascii=False))


def asked(way: Callable[[Image.Image, int], Views], files: list[Path], classifiers: list[Classifier]) -> np.ndarray:
    """Return (classifiers, photographs, 2): the probability of the truth, and whether it is the largest."""
    return np.array([[one(way, file, classifier) for file in files] for classifier in classifiers])


def one(way: Callable[[Image.Image, int], Views], file: Path, classifier: Classifier) -> tuple[float, float]:
    with Image.open(file, formats=FORMATS) as image:
        views = way(opaque_rgb(upright(image)), classifier.image_size)
    pixels = np.stack([np.asarray(view).transpose(2, 0, 1) for view in views])
    probabilities = classifier.probabilities(pixels).mean(0)
    truth = classifier.class_names.index(file.parent.name)
    return float(probabilities[truth]), float(probabilities.argmax() == truth)


def told(chances: np.ndarray) -> str:
    return f"{chances[..., 1].mean():.3f}; {-np.log(chances[..., 0]).mean():.3f}"


def difference(chances: np.ndarray, reference: np.ndarray) -> str:
    """Return how much the loss differs from the reference's, with 95 % by bootstrap of the photographs."""
    more = (-np.log(chances[..., 0]) + np.log(reference[..., 0])).mean(0)
    draws = np.random.default_rng(0).integers(0, len(more), (2000, len(more)))
    low, high = np.percentile(more[draws].mean(1), [2.5, 97.5])
    return f"loss {more.mean():+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
