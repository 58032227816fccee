"""Few images: `auto` and `probe` beside logistic regression, plain fine-tuning, HOG with an SVM, and `fast`.

    python benchmarks/few_images.py [--per-class 10 50 200] [--draws 5] [--minutes 1] [--test 10000]
    python benchmarks/few_images.py --folder DIR [--draws 3] [--minutes 2]

Without a folder, the first images of each class of CIFAR-10 after a shuffle per draw, tested on its test images. The
reference is scikit-learn's logistic regression on features of the same backbone at 160 pixels, with C chosen by
cross-validation on the same images. With a folder, images of classes in subfolders; each draw has another test split.
Appends a row per size and method to benchmarks/results/few_images.jsonl. Needs the extra `pretrained`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import append, mean_and_range, multi_class, stamp
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV
from sklearn.svm import LinearSVC

import tinysight as ts
from tinysight.data.dataset import Dataset, Pixels, Split
from tinysight.data.splits import stratified_split, subset
from tinysight.models.fusion import fused
from tinysight.models.network import embed
from tinysight.models.registry import FAMILIES, build_network
from tinysight.recipes.schema import ModelSection
from tinysight.training.backbone import find_backbone

BACKBONE, REFERENCE_SIZE = "efficientnet-lite0", 160
Method = Callable[[Dataset, int, float], float]
_FEATURES: dict[str, NDArray[np.float32]] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--per-class", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--test", type=int, default=10_000, help="test images of CIFAR-10")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    arguments = parser.parse_args()
    for case in [None] if arguments.folder else arguments.per_class:
        accuracies: defaultdict[str, list[float]] = defaultdict(list)
        seconds: defaultdict[str, list[float]] = defaultdict(list)
        for draw in range(arguments.draws):
            dataset = from_folder(arguments.folder, draw) if case is None else from_cifar10(case, arguments.test, draw)
            for name in arguments.methods:
                start = time.perf_counter()
                accuracies[name].append(METHODS[name](dataset, draw, arguments.minutes))
                seconds[name].append(time.perf_counter() - start)
                print(f"{dataset.name}, draw {draw}, {name}: {accuracies[name][-1]:.4f}", flush=True)
        for name, values in accuracies.items():
            row = {
                "data": arguments.folder.name if case is None else f"CIFAR-10, {case} images per class",
                "method": name,
                "minutes": arguments.minutes,
                "n_test": len(dataset.test),
                "accuracy": mean_and_range(values),
                "sd": round(statistics.stdev(values), 4) if len(values) > 1 else None,
                "seconds": round(statistics.mean(seconds[name]), 1),
                "n": len(values),
            }
            print(json.dumps(append("few_images", row | stamp())), flush=True)


def from_cifar10(per_class: int, n_test: int, draw: int) -> Dataset:
    """Return CIFAR-10 with so many training images of each class."""
    official = ts.load_dataset("cifar10")
    order = np.random.default_rng(draw).permutation(len(official.train))
    labels = official.train.labels[order]
    rows = np.concatenate([order[labels == label][:per_class] for label in range(10)])
    test = subset(official.test, np.arange(n_test))
    return replace(
        official, train=subset(official.train, np.sort(rows)), test=test, argument="images", is_official=None
    )


def from_folder(folder: Path, draw: int) -> Dataset:
    """Return the images of a folder at 160 pixels, with a fifth of each class as the test split of this draw."""
    loaded = ts.load_dataset(folder, REFERENCE_SIZE)
    pixels = np.concatenate([loaded.train.pixels, loaded.test.pixels])
    labels = np.concatenate([loaded.train.labels, loaded.test.labels])
    kept, held_out = stratified_split(labels, 0.2, draw)
    train, test = (Split(pixels[rows], labels[rows]) for rows in (kept, held_out))
    return replace(loaded, train=train, test=test, argument="images", folder=None)


def recipe(name: str, *overrides: str) -> Method:
    """Return the method that trains a recipe."""

    def measure(dataset: Dataset, seed: int, minutes: float) -> float:
        limit = None if name == "probe" else minutes
        with tempfile.TemporaryDirectory() as folder:
            run = ts.train(name, dataset, out=Path(folder) / "run", minutes=limit, seed=seed, overrides=overrides)
            return multi_class(ts.evaluate(run, dataset)).accuracy

    return measure


def from_scratch(dataset: Dataset, seed: int, minutes: float) -> float:
    """Return the accuracy of the recipe `fast`, on images of at most 64 pixels."""
    if dataset.image_size[0] <= 64:
        return recipe("fast")(dataset, seed, minutes)
    small = replace(dataset, train=shrink(dataset.train), test=shrink(dataset.test))
    return recipe("fast", "data.image_size=64")(small, seed, minutes)


def shrink(split: Split) -> Split:
    images = torch.from_numpy(np.asarray(split.pixels)).float()
    resized = torch.nn.functional.interpolate(images, (64, 64), mode="bilinear", antialias=True)
    return Split(resized.round().clamp(0, 255).byte().numpy(), split.labels)


def logistic_regression(dataset: Dataset, seed: int, minutes: float) -> float:
    """Return the accuracy of scikit-learn's logistic regression on features at 160 pixels."""
    train, test = (features(part.pixels) for part in (dataset.train, dataset.test))
    folds = min(5, int(np.bincount(dataset.train.labels).min()))
    model = LogisticRegressionCV(Cs=np.logspace(-4, 1, 11), cv=folds, max_iter=1000, scoring="neg_log_loss")
    model.fit(train, dataset.train.labels)
    return float((model.predict(test) == dataset.test.labels).mean())


def features(pixels: Pixels) -> NDArray[np.float32]:
    """Return the features of the backbone at 160 pixels, in float32. Those of the same images are computed once."""
    key = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
    if key not in _FEATURES:
        _FEATURES[key] = compute_features(pixels)
    return _FEATURES[key]


@torch.inference_mode()
def compute_features(pixels: Pixels) -> NDArray[np.float32]:
    body, normalization = fused(reference_network(("a", "b"), pixels.shape[-1])), find_backbone(BACKBONE).normalization
    rows: list[Any] = []
    for start in range(0, len(pixels), 32):
        images = normalization(torch.from_numpy(np.array(pixels[start : start + 32])).float())
        rows.append(embed(body, images.contiguous(memory_format=torch.channels_last)))
    return torch.cat(rows).numpy()


def plain_torch(dataset: Dataset, seed: int, minutes: float) -> float:
    """Return the accuracy of the usual loop: AdamW, cosine schedule over the time, flips, all layers, 160 pixels."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    normalize, labels = find_backbone(BACKBONE).normalization, dataset.train.labels
    network = reference_network(dataset.class_names, dataset.image_size[0])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
    network.train()
    start, progress = time.perf_counter(), 0.0
    while progress < 1:
        for rows in np.array_split(random.permutation(len(labels)), math.ceil(len(labels) / 32)):
            images = torch.from_numpy(np.array(dataset.train.pixels[rows])).float()
            flipped = torch.from_numpy(random.random(len(rows)) < 0.5)
            images[flipped] = images[flipped].flip(3)
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * (1 + math.cos(math.pi * min(progress, 1))) / 2
            logits = network(normalize(images).contiguous(memory_format=torch.channels_last))
            torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels[rows])).backward()
            optimizer.step()
            optimizer.zero_grad()
            progress = (time.perf_counter() - start) / (60 * minutes)
    network.eval()
    correct = 0
    with torch.inference_mode():
        for rows in np.array_split(np.arange(len(dataset.test)), math.ceil(len(dataset.test) / 32)):
            images = normalize(torch.from_numpy(np.array(dataset.test.pixels[rows])).float())
            correct += int((network(images).argmax(1).numpy() == dataset.test.labels[rows]).sum())
    return correct / len(dataset.test)


def reference_network(class_names: Sequence[str], size: int) -> torch.nn.Module:
    """Return the backbone for images of this size, which it enlarges to 160 pixels, with a random last layer."""
    model = ModelSection(architecture=BACKBONE, input_size=None if size == REFERENCE_SIZE else REFERENCE_SIZE)
    network = build_network(model, len(class_names), size)
    FAMILIES[BACKBONE].load_pretrained(network)
    return network


def hog_svm(dataset: Dataset, seed: int, minutes: float) -> float:
    """Return the accuracy of a linear SVM on histograms of oriented gradients (Dalal and Triggs, CVPR 2005)."""
    train, test = (hog(part.pixels) for part in (dataset.train, dataset.test))
    model = LinearSVC(C=0.1, random_state=seed).fit(train, dataset.train.labels)
    return float(model.score(test, dataset.test.labels))


def hog(pixels: Pixels, cells: int = 8, bins: int = 9) -> NDArray[np.float32]:
    """Return the normalized histograms of 8x8 cells of each image."""
    rows = []
    for image in pixels:
        gray = image.mean(0)
        vertical, horizontal = np.gradient(gray)
        strength, angle = np.hypot(vertical, horizontal), np.arctan2(vertical, horizontal) % np.pi
        index = np.minimum((angle / np.pi * bins).astype(int), bins - 1)
        side = gray.shape[0] // cells
        cut = side * cells
        cell = (np.arange(cut) // side)[:, None] * cells + (np.arange(cut) // side)[None]
        key = cell * bins + index[:cut, :cut]
        histogram = np.bincount(key.ravel(), strength[:cut, :cut].ravel(), cells * cells * bins)
        blocks = histogram.reshape(cells, cells, bins)
        rows.append((blocks / (np.linalg.norm(blocks, axis=2, keepdims=True) + 1)).ravel())
    return np.stack(rows).astype(np.float32)


METHODS: dict[str, Method] = {
    "auto": recipe("auto"),
    "logistic regression": logistic_regression,
    "probe": recipe("probe"),
    "plain torch": plain_torch,
    "HOG + SVM": hog_svm,
    "scratch": from_scratch,
}


if __name__ == "__main__":
    main()
