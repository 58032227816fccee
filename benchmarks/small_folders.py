"""`fast` on small folders: as it adapts to them, compared with its constants for CIFAR-10.

    python benchmarks/small_folders.py [240x3x32 ...] [--images 30000] [--seeds 0 1 2]

A case is the number of training images, the number of classes, and the image size: 240x3x64. Its images are those of
CIFAR-10, the larger sizes upscaled; each seed draws others. 240xshapesx64 takes the built-in `shapes` instead, drawn at
that size. Both train for the same computation instead of the same time, so that a busy machine gives the same result:
`--images` at 32x32, a half and a quarter of them at 64x64 and 96x96, and a quarter of that with the stem of stride 1
that larger images had before. Appends one row per case to benchmarks/results/small_folders.jsonl. Needs CIFAR-10.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from functools import cache

import numpy as np
from common import append, stamp
from PIL import Image

from tinysight.data.dataset import Dataset, Split
from tinysight.data.load import load
from tinysight.data.splits import split_dataset
from tinysight.recipes import loading
from tinysight.recipes.schema import ModelSection, Recipe
from tinysight.training.forecast import LARGE_IMAGE, ScalingLaw
from tinysight.training.small_data import adapt
from tinysight.training.trainer import Trainer, fit

CLASSES = {2: ("cat", "dog"), 3: ("cat", "deer", "dog")}
SHARES = {32: 1, 64: 1 / 2, 96: 1 / 4}  # of the images, by image size
CASES = (*(f"{n}x{k}x{size}" for n, k in ((60, 2), (240, 3), (600, 10)) for size in SHARES), "240xshapesx64")
HELD_OUT = 600  # test images


@dataclass(frozen=True)
class Result:
    """The results of one training; training accuracy is that of the last epoch, on augmented images."""

    test_accuracy: float
    val_accuracy: float
    training_accuracy: float
    epochs: int
    steps: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES, help=f"default: {' '.join(CASES)}")
    parser.add_argument("--images", type=int, default=30_000, help="images trained on at 32x32, counted once per epoch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    for case in arguments.cases:
        size = int(case.split("x")[-1])
        images, cost = arguments.images * SHARES[size], 4 if size >= LARGE_IMAGE else 1
        cheapest, wider = ScalingLaw.load().candidates[:2]  # the same groups, with stems of stride 2 and 1
        before = ModelSection(
            architecture="fast",
            stem_stride=wider.stem_stride if size >= LARGE_IMAGE else cheapest.stem_stride,
            channels=list(cheapest.channels),
        )
        pairs = []
        for seed in arguments.seeds:
            dataset = make_dataset(case, seed)
            plain = loading.load_recipe("fast", ["training.minutes=1", f"data.image_size={size}"])
            n_train = len(split_dataset(dataset, plain.data, seed).train_indices)
            adapted = adapt(plain, n_train)
            old = train(dataset, with_length(plain, before, n_train, images / cost), seed)
            new = train(dataset, with_length(adapted, cheapest.model(size), n_train, images), seed)
            pairs.append((old, new))
        print(json.dumps(append("small_folders", row(case, *map(list, zip(*pairs, strict=True))))), flush=True)


def with_length(recipe: Recipe, model: ModelSection, n_train: int, images: float) -> Recipe:
    """Return the recipe with a network, and the number of epochs in which it trains on about `images` images."""
    batch = recipe.training.batch_size
    per_epoch = max(1, n_train // batch) * min(batch, n_train)
    length = {"minutes": None, "epochs": max(1, round(images / per_epoch))}
    return recipe.model_copy(update={"model": model, "training": recipe.training.model_copy(update=length)})


def train(dataset: Dataset, recipe: Recipe, seed: int) -> Result:
    start = time.process_time()
    trainer = Trainer(recipe, dataset, split_dataset(dataset, recipe.data, seed), seed, "fp32")
    probabilities = fit(trainer).probabilities(np.asarray(dataset.test.pixels))
    return Result(
        test_accuracy=float((probabilities.argmax(1) == dataset.test.labels).mean()),
        val_accuracy=trainer.history[-1].val_accuracy,
        training_accuracy=trainer.history[-1].accuracy,
        epochs=recipe.training.epochs,
        steps=recipe.training.epochs * trainer.loader.steps_per_epoch,
        seconds=time.process_time() - start,
    )


def make_dataset(case: str, seed: int) -> Dataset:
    count, classes, size = case.split("x")
    if classes == "shapes":
        return load(f"shapes:train={count},test={HELD_OUT},seed={seed}", int(size))
    official = cifar10()
    names = CLASSES.get(int(classes), official.class_names)
    random = np.random.default_rng(seed)
    labels = [official.class_names.index(name) for name in names]
    train = draw(official.train, labels, int(count) // len(names), int(size), random)
    test = draw(official.test, labels, HELD_OUT // len(names), int(size), random)
    return Dataset(case, train, test, tuple(names), "drawn from CIFAR-10")


@cache
def cifar10() -> Dataset:
    return load("cifar10")


def draw(split: Split, labels: list[int], count: int, size: int, random: np.random.Generator) -> Split:
    """Return `count` images of each of the classes, in the given size."""
    chosen = [random.permutation(np.flatnonzero(split.labels == label))[:count] for label in labels]
    pixels = np.stack([resize(split.pixels[index], size) for index in np.concatenate(chosen)])
    return Split(pixels, np.repeat(np.arange(len(labels)), count))


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    if pixels.shape[1] == size:
        return pixels
    image = Image.fromarray(pixels.transpose(1, 2, 0)).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).transpose(2, 0, 1)


def row(case: str, before: list[Result], now: list[Result]) -> dict[str, object]:
    """Return the row for RESULTS.md."""
    count, classes, size = case.split("x")
    images = "`shapes`" if classes == "shapes" else f"{classes} classes of CIFAR-10"
    differences = [new.test_accuracy - old.test_accuracy for old, new in zip(before, now, strict=True)]
    return {
        "claim": f"test accuracy of `fast` on {count} images ({images}) at {size}x{size}",
        "ours": describe(now),
        "peer": f"constants for CIFAR-10: {describe(before)}",
        "ratio": f"{statistics.mean(differences):+.3f} ({'; '.join(f'{value:+.3f}' for value in differences)})",
        "n": len(now),
        "before": [vars(result) for result in before],
        "now": [vars(result) for result in now],
        **stamp(),
    }


def describe(results: list[Result]) -> str:
    """Return "0.620 (0.610; 0.630), validation 0.630, training 0.990; 468 steps in 156 epochs, 22 s of CPU"."""
    tests = [result.test_accuracy for result in results]
    validation, training, seconds = (
        statistics.mean(getattr(result, key) for result in results)
        for key in ("val_accuracy", "training_accuracy", "seconds")
    )
    return (
        f"{statistics.mean(tests):.3f} ({'; '.join(f'{value:.3f}' for value in tests)}), validation {validation:.3f}, "
        f"training {training:.3f}; {results[0].steps:,} steps in {results[0].epochs:,} epochs, {seconds:.0f} s of CPU"
    )


if __name__ == "__main__":
    main()
