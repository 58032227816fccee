"""Balanced accuracy on a long-tailed dataset: plain training against class weights and balanced sampling.

    python benchmarks/long_tail.py [--data cifar10] [--recipe fast-85] [--epochs 12] [--imbalance 100] [--seeds 3]

The class sizes of the training images fall exponentially, from the first class to the last, by the factor
`--imbalance` (Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019). The
variant with the highest balanced accuracy on the validation images is chosen. Only plain training and that variant are
evaluated on the test images, once. Appends to benchmarks/results/long_tail.jsonl.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import append, mean_and_range, multi_class, stamp
from scipy.stats import t as student_t

import tinysight as ts
from tinysight.data.dataset import Dataset, Split

PLAIN = "plain"
VARIANTS = {
    PLAIN: (),
    "class weights": ("training.class_weight=balanced",),
    "balanced sampling": ("training.sampling=balanced",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--recipe", default="fast-85")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--imbalance", type=float, default=100.0)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    dataset = long_tailed(ts.load_dataset(arguments.data), arguments.imbalance)
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: [train(dataset, arguments, name, seed, Path(folder)) for seed in range(arguments.seeds)]
            for name in VARIANTS
        }
        validation = {name: mean_validation(trained) for name, trained in runs.items()}
        chosen = max((name for name in VARIANTS if name != PLAIN), key=validation.__getitem__)
        metrics = {name: [multi_class(ts.evaluate(run, dataset)) for run in runs[name]] for name in (PLAIN, chosen)}
    plain, balanced = ([one.balanced_accuracy for one in by_seed] for by_seed in metrics.values())
    gains = [after - before for before, after in zip(plain, balanced, strict=True)]
    what = f"{arguments.data}, imbalance {arguments.imbalance:g}, `{arguments.recipe}`, {arguments.epochs} epochs"
    difference = f"{statistics.mean(gains):+.3f}"
    if (ends := interval(gains)) is not None:
        difference += f" ({ends[0]:+.3f} to {ends[1]:+.3f})"
    row = {
        "claim": f"{what}: balanced test accuracy with {chosen}",
        "ours": mean_and_range(balanced),
        "peer": f"plain training: {mean_and_range(plain)}",
        "ratio": difference,
        "n": arguments.seeds,
        "train_images": len(dataset.train),
        "validation_balanced_accuracy": validation,
        "test": {name: [figures(one) for one in by_seed] for name, by_seed in metrics.items()},
        **stamp(),
    }
    print(json.dumps(append("long_tail", row)))


def long_tailed(dataset: Dataset, imbalance: float) -> Dataset:
    """Return a dataset whose first class keeps all training images and whose last keeps 1 of `imbalance`."""
    labels, classes = dataset.train.labels, len(dataset.class_names)
    largest = int(np.bincount(labels).min())
    random, chosen = np.random.default_rng(0), []
    for label in range(classes):
        size = max(1, round(largest * imbalance ** (-label / (classes - 1))))
        chosen.append(random.permutation(np.flatnonzero(labels == label))[:size])
    indices = np.sort(np.concatenate(chosen))
    files = tuple(dataset.train.files[index] for index in indices) if dataset.train.files else ()
    return replace(dataset, train=Split(dataset.train.pixels[indices], labels[indices], files))


def train(dataset: Dataset, arguments: argparse.Namespace, name: str, seed: int, folder: Path) -> ts.Run:
    """Train one variant with one seed."""
    out = folder / f"{name.replace(' ', '-')}-{seed}"
    return ts.train(
        arguments.recipe, dataset, out=out, seed=seed, epochs=arguments.epochs, overrides=list(VARIANTS[name])
    )


def mean_validation(runs: list[ts.Run]) -> float:
    """Return the mean balanced accuracy on the validation images."""
    return round(statistics.mean(run.summary().val_balanced_accuracy or 0.0 for run in runs), 4)


def figures(metrics: ts.Metrics) -> dict[str, object]:
    """Return the figures of one evaluation, with intervals."""
    return {
        "accuracy": metrics.accuracy,
        "balanced_accuracy": metrics.balanced_accuracy,
        "balanced_accuracy_ci95": metrics.intervals.balanced_accuracy,
        "macro_f1": metrics.macro.f1,
        "macro_f1_ci95": metrics.intervals.macro.f1,
    }


def interval(gains: list[float]) -> tuple[float, float] | None:
    """Return the 95% interval of the mean gain by Student's t; None for a single seed."""
    if len(gains) < 2:
        return None
    margin = float(student_t.ppf(0.975, len(gains) - 1)) * statistics.stdev(gains) / math.sqrt(len(gains))
    mean = statistics.mean(gains)
    return round(mean - margin, 4), round(mean + margin, 4)


if __name__ == "__main__":
    main()
