"""Whether heat maps lie on what decides, and whether they depend on the weights.

    python benchmarks/explanation.py [--seeds 0 1 2]

On `shapes`, whose masks are known: how often the hottest point of a right answer lies on the shape, and how the maps
of a network with random weights go together with those of the trained one. Appends to benchmarks/results/trust.jsonl.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace

import numpy as np
import torch
from common import append, stamp, told
from scipy.stats import spearmanr

from tinysight.data import shapes
from tinysight.explanation.heat import heat_maps
from tinysight.models.registry import build
from tinysight.recipes import loading
from tinysight.training import precision
from tinysight.training.fitting import fit
from tinysight.training.images import cut
from tinysight.training.trainer import Trainer

RECIPES = {"simple": 12, "deep": 10, "strided": 12, "early-stopping": 10, "fast-73": 8, "fast-85": 6}  # epochs
TRAIN, TEST = 6000, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    arguments = parser.parse_args()
    for name in arguments.recipes:
        hits, alike, accuracies = zip(*(measure(name, seed) for seed in arguments.seeds), strict=True)
        row = {
            "claim": f"heat maps on `shapes`, `{name}`: hottest point on the shape; rank correlation, random weights",
            "ours": f"{told(hits)}; {told(alike)} (accuracy {statistics.mean(accuracies):.3f})",
            "peer": "wanted: .90 at least; below .30",
            "ratio": "",
            "n": len(hits),
            **stamp(),
        }
        print(json.dumps(append("trust", row), ensure_ascii=False), flush=True)


def measure(name: str, seed: int) -> tuple[float, float, float]:
    """Return the share of right answers whose hottest point is on the shape, the rank correlation, and the accuracy."""
    dataset, planted = shapes.make(TRAIN, TEST, seed)
    recipe = loading.load(name, [f"training.epochs={RECIPES[name]}"])
    numbers = precision.choose("auto", recipe)
    classifier = fit(Trainer(recipe, dataset, cut(dataset, recipe.data, seed), seed, numbers))
    answers = classifier.probabilities(dataset.test.pixels).argmax(1)
    right = np.flatnonzero(answers == dataset.test.labels)
    heat = heat_maps(classifier, dataset.test.pixels[right], answers[right])
    hottest = heat.reshape(len(right), -1).argmax(1)
    on_shape = planted.test_masks[right].reshape(len(right), -1)[np.arange(len(right)), hottest]
    torch.manual_seed(seed + 1)
    random = replace(classifier, network=build(recipe.model, 10, 32))
    if hasattr(random.network[0], "filters"):
        random.network[0].filters.copy_(classifier.network[0].filters)
    other = heat_maps(random, dataset.test.pixels[right], answers[right])
    alike = [spearmanr(one.ravel(), two.ravel()).statistic for one, two in zip(heat, other, strict=True)]
    return float(on_shape.mean()), float(np.nanmean(alike)), len(right) / TEST


if __name__ == "__main__":
    main()
