"""How well scores tell images that are unlike the training images from test images.

    python benchmarks/ood_scores.py [--recipe fast-73] [--epochs 1] [--images 50000] [--setups 3]

Trains on 8 of the 10 classes of CIFAR-10 (several choices), on some or all of their images. The test images of the
other two classes are near out-of-distribution (OOD) images. Far ones are noise, phase textures, `shapes`, handwritten
digits and patches of the two photographs that scikit-learn contains. For each score: the AUROC, and the share of test
images that a threshold flags if it flags 95% of the OOD images (FPR at 95% TPR). Also, with a threshold that flags 5%
of the validation images, the share of test images (false alarms) and of OOD images that it flags.

Scores, each as published, on the input of the last layer: maximum softmax probability (MSP: Hendrycks and Gimpel 2017),
energy (Liu et al. 2020), k-th nearest neighbor (kNN: Sun et al. 2022), Mahalanobis distance (Lee et al. 2018), relative
Mahalanobis distance (RMD: Ren et al. 2021), ViM (Wang et al. 2022), NNGuide (Park et al. 2023). The row "tinysight" is
NNGuide with one neighbor of 256 stored images and centered logits, as the classifier computes it. Appends to
benchmarks/results/ood_scores.jsonl.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from common import append, stamp
from numpy.typing import NDArray
from PIL import Image
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_digits, load_sample_images
from sklearn.metrics import roc_auc_score

import tinysight as ts
from tinysight.data.dataset import Dataset, Pixels, Split
from tinysight.data.splits import split_dataset, subset
from tinysight.evaluation.ood import OOD_GENERATORS
from tinysight.models.classifier import Classifier, iter_batches
from tinysight.models.network import embed
from tinysight.models.ood import MAX_STORED, OodDetector

MAX_TRAIN = 6000  # embedded training images, which is ample for all scores
HELD_OUT = (("cat", "truck"), ("bird", "automobile"), ("horse", "airplane"), ("ship", "deer"))
N_OOD = 2000
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Embedded:
    """Embeddings (n, d), logits (n, classes) and labels (n,) of some images."""

    features: Values
    logits: Values
    labels: NDArray[np.int64]

    def __getitem__(self, rows: NDArray[np.int64]) -> Embedded:
        return Embedded(self.features[rows], self.logits[rows], self.labels[rows])


Score = Callable[[Embedded], Values]
"""Returns (n,), higher for images that are less like the training images."""


def msp(train: Embedded) -> Score:
    return lambda images: np.asarray(-np.exp(images.logits - _logsumexp(images.logits)[:, None]).max(1))


def energy(train: Embedded) -> Score:
    return lambda images: -_logsumexp(images.logits)


def knn(k: int, stored: int | None = None) -> Callable[[Embedded], Score]:
    """Distance to the k-th nearest of the training images, or of `stored` of them."""

    def fit(train: Embedded) -> Score:
        chosen = np.random.default_rng(0).permutation(len(train.labels))[:stored]
        bank = _unit(train.features[chosen])

        def score(images: Embedded) -> Values:
            similarities = _unit(images.features) @ bank.T
            nth = min(k, len(bank))
            return np.asarray(1 - np.partition(similarities, len(bank) - nth, axis=1)[:, len(bank) - nth])

        return score

    return fit


def nnguide(k: int, stored: int) -> Callable[[Embedded], Score]:
    """Energy, times the mean similarity to the nearest training images, each times its own energy."""

    def fit(train: Embedded) -> Score:
        chosen = np.random.default_rng(0).permutation(len(train.labels))[:stored]
        bank = _unit(train.features[chosen]) * _logsumexp(train.logits[chosen])[:, None]

        def score(images: Embedded) -> Values:
            similarities = np.sort(_unit(images.features) @ bank.T, axis=1)[:, -k:]
            return np.asarray(-similarities.mean(1) * _logsumexp(images.logits))

        return score

    return fit


def mahalanobis(normalize: bool = False, relative: bool = False, shrink: bool = False) -> Callable[[Embedded], Score]:
    """Squared distance to the nearest class mean, in the metric of the covariance within classes."""

    def fit(train: Embedded) -> Score:
        prepare = _unit if normalize else np.asarray
        features = prepare(train.features)
        means = np.stack([features[train.labels == label].mean(0) for label in np.unique(train.labels)])
        numbers = np.searchsorted(np.unique(train.labels), train.labels)
        within = _whitening(features - means[numbers], shrink)
        overall, center = _whitening(features - features.mean(0), shrink), features.mean(0)

        def score(images: Embedded) -> Values:
            rows = prepare(images.features)
            distances = np.stack([(((rows - mean) @ within) ** 2).sum(1) for mean in means]).min(0)
            return np.asarray(distances - (((rows - center) @ overall) ** 2).sum(1) if relative else distances)

        return score

    return fit


def marginal() -> Callable[[Embedded], Score]:
    """Squared Mahalanobis distance to the mean of all training images, of unit length: needs no classes."""

    def fit(train: Embedded) -> Score:
        features = _unit(train.features)
        center = features.mean(0)
        whitening = _whitening(features - center, shrink=True)
        return lambda images: np.asarray((((_unit(images.features) - center) @ whitening) ** 2).sum(1))

    return fit


def vim(train: Embedded) -> Score:
    """Norm outside the principal subspace, scaled to a logit beside those of the classes.

    Half of the dimensions are principal. The origin is the mean, since the last layer has no bias here.
    """
    center = train.features.mean(0)
    _, _, directions = np.linalg.svd(train.features - center, full_matrices=True)
    rest = directions[train.features.shape[1] // 2 :].T
    residuals = np.linalg.norm((train.features - center) @ rest, axis=1)
    alpha = train.logits.max(1).mean() / residuals.mean()

    def score(images: Embedded) -> Values:
        virtual = alpha * np.linalg.norm((images.features - center) @ rest, axis=1)
        return np.asarray(virtual - _logsumexp(images.logits))

    return score


def tinysight(train: Embedded) -> Score:
    """Return the score of the product."""
    chosen = np.random.default_rng(0).permutation(len(train.labels))[:MAX_STORED]
    detector = OodDetector.fit(*_tensors(train[chosen]), "multi-class")
    return lambda images: detector.scores(*_tensors(images)).double().numpy()


def _tensors(images: Embedded) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(images.features).float(), torch.from_numpy(images.logits).float()


SCORES: dict[str, Callable[[Embedded], Score]] = {
    "tinysight": tinysight,
    "NNGuide, 10 of 2,000": nnguide(10, 2000),
    "MSP": msp,
    "energy": energy,
    "kNN, 10 of 2,000": knn(10, 2000),
    "kNN, 50 of 6,000": knn(50, 6000),
    "Mahalanobis": mahalanobis(),
    "Mahalanobis, unit length": mahalanobis(normalize=True, shrink=True),
    "RMD": mahalanobis(relative=True),
    "Mahalanobis without classes, unit length": marginal(),
    "ViM": vim,
}


def _logsumexp(logits: Values) -> Values:
    highest = logits.max(1)
    return np.asarray(highest + np.log(np.exp(logits - highest[:, None]).sum(1)))


def _unit(features: Values) -> Values:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))


def _whitening(centered: Values, shrink: bool) -> Values:
    """Return a matrix W, so that |xW|^2 is the squared distance in the metric of the covariance."""
    covariance = ledoit_wolf(centered, assume_centered=True)[0] if shrink else centered.T @ centered / len(centered)
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors / np.sqrt(np.maximum(values, 1e-10 * values.max())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="fast-73")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--images", type=int, default=50_000, help="training and validation images of 10 classes")
    parser.add_argument("--setups", type=int, default=3, choices=range(1, len(HELD_OUT) + 1))
    arguments = parser.parse_args()
    cifar10 = ts.load_dataset("cifar10")
    results: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in SCORES}
    for names in HELD_OUT[: arguments.setups]:
        known, near = without_classes(cifar10, names, arguments.images)
        train, validation, test, classifier = trained(known, arguments.recipe, arguments.epochs)
        ood = {kind: embedded(classifier, pixels) for kind, pixels in ood_images(near, known.test.pixels).items()}
        for name, fit in SCORES.items():
            score = fit(train)
            threshold = np.quantile(score(validation), 0.95)
            own = score(test)
            results[name].append({kind: figures(own, score(images), threshold) for kind, images in ood.items()})
    for name, by_setup in results.items():
        row = {
            "claim": f"`{arguments.recipe}`, {arguments.images:,} images: {name}",
            "ours": "AUROC " + summary(by_setup, "auroc"),
            "peer": "marked at 5% false alarms: " + summary(by_setup, "detected"),
            "ratio": f"{np.mean([value['auroc'] for setup in by_setup for value in setup.values()]):.3f}",
            "n": arguments.setups,
            "epochs": arguments.epochs,
            "by_setup": by_setup,
        }
        print(json.dumps(append("ood_scores", {**row, **stamp()})), flush=True)


def summary(by_setup: list[dict[str, dict[str, float]]], key: str) -> str:
    """Return the means over the setups, by kind of images."""
    return ", ".join(f"{kind} {np.mean([setup[kind][key] for setup in by_setup]):.2f}" for kind in by_setup[0])


def without_classes(dataset: Dataset, names: tuple[str, str], images: int) -> tuple[Dataset, Pixels]:
    """Return the dataset without two classes, with a part of its training images, and test images of these classes."""
    held_out = [dataset.class_names.index(name) for name in names]
    kept = [index for index in range(len(dataset.class_names)) if index not in held_out]
    numbers = np.full(len(dataset.class_names), -1)
    numbers[kept] = range(len(kept))

    def known(split: Split) -> Split:
        part = subset(split, np.flatnonzero(np.isin(split.labels, kept)))
        return replace(part, labels=numbers[part.labels])

    first = np.random.default_rng(0).permutation(len(dataset.train))[:images]
    classes = tuple(dataset.class_names[index] for index in kept)
    smaller = replace(
        dataset, train=known(subset(dataset.train, np.sort(first))), test=known(dataset.test), class_names=classes
    )
    return replace(smaller, argument=":memory:"), dataset.test.pixels[np.isin(dataset.test.labels, held_out)]


def trained(dataset: Dataset, recipe: str, epochs: int) -> tuple[Embedded, Embedded, Embedded, Classifier]:
    """Return the embedded training, validation and test images of a new run, and its classifier."""
    with tempfile.TemporaryDirectory() as folder:
        run = ts.train(recipe, dataset, epochs=epochs, out=Path(folder, "run"), precision="fp32")
        classifier = run.classifier()
        split = split_dataset(dataset, run.recipe().data, run.environment().seed)
    chosen = np.random.default_rng(0).permutation(split.train_indices)[:MAX_TRAIN]
    parts = (subset(split.train, np.sort(chosen)), split.validation, dataset.test)
    train, validation, test = (replace(embedded(classifier, part.pixels), labels=part.labels) for part in parts)
    accuracy = (test.logits.argmax(1) == test.labels).mean()
    print(f"test accuracy {accuracy:.3f}", flush=True)
    return train, validation, test, classifier


@torch.inference_mode()
def embedded(classifier: Classifier, pixels: Pixels) -> Embedded:
    """Return the embeddings and logits of images, without labels."""
    network, normalization = classifier.network.eval(), classifier.spec.normalization
    rows = [embed(network, normalization(torch.from_numpy(batch).float())) for batch in iter_batches(pixels)]
    features, logits = torch.cat(rows).double().numpy(), classifier.logits(pixels).double().numpy()
    return Embedded(features, logits, np.full(len(pixels), -1))


def ood_images(near: Pixels, test: Pixels) -> dict[str, Pixels]:
    """Return OOD images by kind."""
    side = test.shape[-1]
    generated = {kind: make(test[:N_OOD], 0) for kind, make in OOD_GENERATORS.items()}
    return {"held-out classes": near, **generated, "digits": digits(side), "photographs": photographs(side)}


def digits(side: int) -> Pixels:
    """Return the handwritten digits of scikit-learn, enlarged."""
    images = [Image.fromarray((image * 15.9).astype(np.uint8)) for image in load_digits().images]
    gray = np.stack([np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)) for image in images])
    return np.repeat(gray[:, None], 3, axis=1)


def photographs(side: int) -> Pixels:
    """Return patches of the two photographs of scikit-learn, at three scales."""
    patches = []
    for photograph, patch in product(load_sample_images().images, (side, 2 * side, 4 * side)):
        height, width = photograph.shape[:2]
        for top, left in product(range(0, height - patch + 1, patch), range(0, width - patch + 1, patch)):
            image = Image.fromarray(photograph[top : top + patch, left : left + patch])
            patches.append(np.asarray(image.resize((side, side), Image.Resampling.LANCZOS)))
    return np.stack(patches).transpose(0, 3, 1, 2)


def figures(test: Values, ood: Values, threshold: float) -> dict[str, float]:
    """Return AUROC, FPR at 95% TPR, and the shares that the threshold flags."""
    is_ood = np.repeat([0, 1], [len(test), len(ood)])
    values = {
        "auroc": roc_auc_score(is_ood, np.concatenate([test, ood])),
        "fpr95": (test >= np.quantile(ood, 0.05)).mean(),
        "false alarms": (test > threshold).mean(),
        "detected": (ood > threshold).mean(),
    }
    return {key: round(float(value), 4) for key, value in values.items()}


if __name__ == "__main__":
    main()
