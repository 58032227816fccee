"""Several labels per image: a recipe against a constant predictor and scikit-learn's logistic regression on pixels.

    python benchmarks/multi_label.py [--data cifar10] [--recipe fast-85] [--epochs 20] [--images 10000] [--seeds 3]

An image is a mosaic of 2x2 fields, of which two to four show an image of `--data`, each used once; the others are gray.
Its labels are the classes of these images. Test mosaics consist of test images. Each seed draws other mosaics, and is
the seed of the training. A tenth of `--images` is for validation: of the thresholds, and of the regularization of the
logistic regression, which has one model per label on mosaics that are reduced to half the size. The constant predictor
gives every image the same probabilities: the shares of the labels in the training mosaics. It predicts all labels for
the F1, and the most frequent set of labels for the exact match. Appends to benchmarks/results/multi_label.jsonl.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import append, stamp
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tinysight as ts
from tinysight.data.dataset import Dataset, Pixels, Split
from tinysight.data.labels import Labels
from tinysight.models.scores import (
    average_precisions,
    is_correct,
    label_f1,
    mean_average_precision,
    predicted_labels,
)
from tinysight.training.thresholds import choose_thresholds

MEASURES = ("mean average precision", "macro F1", "exact match")
OURS, REGRESSION, CONSTANT = "ours", "logistic regression", "constant"
STRENGTHS = (1e-4, 1e-3, 1e-2)  # C of the logistic regression
GRAY = 128

Scores = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--recipe", default="fast-85")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--images", type=int, default=10_000, help="training and validation mosaics")
    parser.add_argument("--test-images", type=int, default=2_000, help="test mosaics")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    source = ts.load_dataset(arguments.data)
    by_seed = [measure(source, arguments, seed) for seed in range(arguments.seeds)]
    mosaics_of = f"{arguments.images:,} 2x2 mosaics of {arguments.data}"
    what = f"{mosaics_of}, `{arguments.recipe}`, {arguments.epochs} epochs"
    for name in MEASURES:
        print(json.dumps(append("multi_label", row(what, name, by_seed))), flush=True)


def measure(source: Dataset, arguments: argparse.Namespace, seed: int) -> dict[str, Scores]:
    """Return the scores of the recipe and of both peers on the test mosaics of a seed."""
    random = np.random.default_rng(seed)
    train = mosaics(source.train, len(source.class_names), arguments.images, random)
    n_validation = arguments.images // 10
    dataset = Dataset(
        name=f"mosaics of {source.name}",
        train=Split(train.pixels[n_validation:], train.labels[n_validation:]),
        validation=Split(train.pixels[:n_validation], train.labels[:n_validation]),
        test=mosaics(source.test, len(source.class_names), arguments.test_images, random),
        class_names=source.class_names,
        source=source.source,
    )
    size = f"data.image_size={dataset.image_size[0]}"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        run = ts.train(arguments.recipe, dataset, out=out, seed=seed, epochs=arguments.epochs, overrides=[size])
        ts.evaluate(run, dataset)
        ours = score(run.predictions()[0], run.predicted_labels(), dataset.test.labels)
    return {OURS: ours, REGRESSION: regress(dataset), CONSTANT: constant(dataset)}


def mosaics(images: Split, classes: int, count: int, random: np.random.Generator) -> Split:
    """Return `count` mosaics of 2x2 fields, of which two to four show an image. No image is used twice."""
    height, width = images.pixels.shape[2:]
    sizes = random.integers(2, 5, count)
    unused = random.permutation(len(images))
    if sizes.sum() > len(unused):
        raise SystemExit(f"{count:,} mosaics: need {sizes.sum():,} images of {len(unused):,}. Make fewer.")
    pixels, labels = np.full((count, 3, 2 * height, 2 * width), GRAY, np.uint8), np.zeros((count, classes), np.int64)
    ends = np.cumsum(sizes)
    for mosaic, members in enumerate(np.split(unused[: ends[-1]], ends[:-1])):
        for field, index in zip(random.permutation(4), members, strict=False):
            top, left = height * (field // 2), width * (field % 2)
            pixels[mosaic, :, top : top + height, left : left + width] = images.pixels[index]
            labels[mosaic, images.labels[index]] = 1
    return Split(pixels, labels)


def score(probabilities: NDArray[np.floating[Any]], predictions: Labels, labels: Labels) -> Scores:
    """Return the scores by measure."""
    precision = mean_average_precision(average_precisions(labels, probabilities)) or 0.0
    shares = label_f1(labels, predictions).mean(), is_correct(predictions, labels).mean()
    return dict(zip(MEASURES, (precision, *map(float, shares)), strict=True))


def regress(dataset: Dataset) -> Scores:
    """Return the scores of the logistic regression with the best validation mean average precision."""
    if dataset.validation is None:
        raise TypeError("The mosaics have no validation split.")
    best, chosen = -1.0, None
    for strength in STRENGTHS:
        regression = LogisticRegression(C=strength, max_iter=1000, tol=1e-3)
        model = make_pipeline(StandardScaler(), OneVsRestClassifier(regression))
        model.fit(reduced(dataset.train.pixels), dataset.train.labels)
        probabilities = model.predict_proba(reduced(dataset.validation.pixels))
        precision = mean_average_precision(average_precisions(dataset.validation.labels, probabilities)) or 0.0
        if precision > best:
            best, chosen = precision, (model, choose_thresholds(probabilities, dataset.validation.labels))
    if chosen is None:
        raise TypeError("There are no values of C.")
    model, thresholds = chosen
    probabilities = model.predict_proba(reduced(dataset.test.pixels))
    return score(probabilities, predicted_labels(probabilities, thresholds), dataset.test.labels)


def constant(dataset: Dataset) -> Scores:
    """Return the scores of the constant predictor."""
    labels, n = dataset.test.labels, len(dataset.test)
    probabilities = np.tile(dataset.train.labels.mean(0), (n, 1))
    sets, counts = np.unique(dataset.train.labels, axis=0, return_counts=True)
    frequent = np.tile(sets[counts.argmax()], (n, 1))
    scores = score(probabilities, np.ones_like(labels), labels)
    return scores | {"exact match": score(probabilities, frequent, labels)["exact match"]}


def reduced(pixels: Pixels) -> NDArray[np.float32]:
    """Return images at half the size, by means of 2x2 pixels, as rows."""
    n, channels, height, width = pixels.shape
    means: NDArray[np.float32] = pixels.reshape(n, channels, height // 2, 2, width // 2, 2).mean((3, 5), np.float32)
    return means.reshape(n, -1)


def row(what: str, measure_name: str, by_seed: list[dict[str, Scores]]) -> dict[str, Any]:
    """Return the row of a measure."""
    values = {name: [scores[name][measure_name] for scores in by_seed] for name in by_seed[0]}
    gain = statistics.mean(values[OURS]) - statistics.mean(values[REGRESSION])
    return {
        "claim": f"{what}: test {measure_name}",
        "ours": spread(values[OURS]),
        "peer": f"{REGRESSION}: {spread(values[REGRESSION])}; {CONSTANT}: {spread(values[CONSTANT])}",
        "ratio": f"{gain:+.3f}",
        "n": len(by_seed),
        "by_seed": values,
        **stamp(),
    }


def spread(values: list[float]) -> str:
    """Return "mean ± SD", or the only value."""
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
