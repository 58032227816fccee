"""Detection of label errors injected into CIFAR-10: recall and precision.

    python benchmarks/label_errors.py [--recipe fast-90] [--shadows 4] [--seeds 1 2 3]

Changes 5 % of the training labels to a random other class. The detection rule was chosen on seed 0, so other seeds are
measured. Appends to benchmarks/results/trust.jsonl. Needs CIFAR-10 and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace

import numpy as np
from common import append, mean_and_range, stamp

from tinysight.auditing.sections.label_errors import find_label_issues
from tinysight.auditing.shadow_models import ShadowModels, train_shadow_model
from tinysight.data.load import load
from tinysight.recipes import loading
from tinysight.training import precision

FLIPPED = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="fast-90")
    parser.add_argument("--shadows", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments = parser.parse_args()
    results = [measure(arguments.recipe, arguments.shadows, seed) for seed in arguments.seeds]
    recalls, precisions, seconds = zip(*results, strict=True)
    row = {
        "claim": f"label errors, {FLIPPED:.0%} injected into CIFAR-10's train split",
        "ours": f"recall {mean_and_range(recalls)}, precision {mean_and_range(precisions)}; "
        f"{arguments.shadows} shadow models of `{arguments.recipe}`, {statistics.mean(seconds):.0f} s",
        "peer": "target: .80 and .70",
        "ratio": "",
        "n": len(results),
        **stamp(),
    }
    print(json.dumps(append("trust", row), ensure_ascii=False))


def measure(name: str, count: int, seed: int) -> tuple[float, float, float]:
    """Return recall, precision and seconds."""
    start, random, dataset = time.perf_counter(), np.random.default_rng(seed), load("cifar10")
    labels = dataset.train.labels.copy()
    wrong = random.permutation(len(labels))[: round(FLIPPED * len(labels))]
    labels[wrong] = (labels[wrong] + random.integers(1, 10, len(wrong))) % 10
    pool, recipe = replace(dataset.train, labels=labels), loading.load_recipe(name)
    numeric = precision.resolve_precision("auto", recipe)
    shadow_models = [train_shadow_model(recipe, dataset, pool, number, seed, numeric) for number in range(count)]
    suspects = find_label_issues(ShadowModels.stack(shadow_models, labels).out_of_fold_probabilities(), labels)
    hits = len(np.intersect1d(suspects.indices, wrong))
    return hits / len(wrong), hits / len(suspects), time.perf_counter() - start


if __name__ == "__main__":
    main()
