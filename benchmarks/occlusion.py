"""Occlusion maps on `shapes`: localization, and dependence on the weights.

    python benchmarks/occlusion.py [--seeds 0 1 2]

The masks of `shapes` are known. Measures how often the maximum of the map of a correct prediction lies on the shape,
and the rank correlation with the maps of a network with random weights. Appends to benchmarks/results/trust.jsonl.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace

import numpy as np
import torch
from common import append, mean_and_range, stamp
from scipy.stats import spearmanr

from tinysight.data.sources import shapes
from tinysight.data.splits import split_dataset
from tinysight.explanation.occlusion import occlusion_maps
from tinysight.models.registry import build_network
from tinysight.recipes import loading
from tinysight.training import precision
from tinysight.training.trainer import Trainer, fit

RECIPES = {"simple": 12, "deep": 10, "strided": 12, "early-stopping": 10, "fast-73": 8, "fast-85": 6}  # epochs
TRAIN, TEST = 6000, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    arguments = parser.parse_args()
    for name in arguments.recipes:
        hits, correlations, accuracies = zip(*(measure(name, seed) for seed in arguments.seeds), strict=True)
        row = {
            "claim": f"occlusion maps on `shapes`, `{name}`: maximum on the shape; "
            "rank correlation with random weights",
            "ours": f"{mean_and_range(hits)}; {mean_and_range(correlations)} "
            f"(accuracy {statistics.mean(accuracies):.3f})",
            "peer": "target: at least .90; below .30",
            "ratio": "",
            "n": len(hits),
            **stamp(),
        }
        print(json.dumps(append("trust", row), ensure_ascii=False), flush=True)


def measure(name: str, seed: int) -> tuple[float, float, float]:
    """Return the fraction of maps with their maximum on the shape, the rank correlation, and the accuracy."""
    dataset, ground_truth = shapes.make_shapes(TRAIN, TEST, seed)
    recipe = loading.load_recipe(name, [f"training.epochs={RECIPES[name]}"])
    numeric = precision.resolve_precision("auto", recipe)
    classifier = fit(Trainer(recipe, dataset, split_dataset(dataset, recipe.data, seed), seed, numeric))
    predictions = classifier.probabilities(dataset.test.pixels).argmax(1)
    correct = np.flatnonzero(predictions == dataset.test.labels)
    heat = occlusion_maps(classifier, dataset.test.pixels[correct], predictions[correct])
    hottest = heat.reshape(len(correct), -1).argmax(1)
    on_shape = ground_truth.test_masks[correct].reshape(len(correct), -1)[np.arange(len(correct)), hottest]
    torch.manual_seed(seed + 1)
    random = replace(classifier, network=build_network(recipe.model, 10, 32))
    if hasattr(random.network.get_submodule("body.0"), "filters"):
        fixed = classifier.network.get_submodule("body.0").state_dict()
        random.network.get_submodule("body.0").load_state_dict(fixed)
    random_heat = occlusion_maps(random, dataset.test.pixels[correct], predictions[correct])
    correlations = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(heat, random_heat, strict=True)]
    return float(on_shape.mean()), float(np.nanmean(correlations)), len(correct) / TEST


if __name__ == "__main__":
    main()
