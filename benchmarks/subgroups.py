"""Detection of subgroup gaps, with and without an injected bias.

    python benchmarks/subgroups.py

With bias, ten seeds: in training, half of the images of one class have a pink background; in the test split, half of
all other classes. Without bias, twenty seeds: the subgroup is a random half of the test images. Appends to
benchmarks/results/trust.jsonl.
"""

from __future__ import annotations

import json

import numpy as np
from common import append, stamp

from tinysight.auditing.sections.subgroups import find_subgroup_gaps
from tinysight.data.sources import shapes
from tinysight.data.sources.shapes import NO_DEFECTS, Defects
from tinysight.data.splits import split_dataset
from tinysight.recipes import loading
from tinysight.training.trainer import Trainer, fit

TRAIN, TEST, SHARE = 3000, 1500, 0.5


def main() -> None:
    biased = sum(has_gap(seed, Defects(spurious_background=SHARE)) for seed in range(10))
    unbiased = sum(has_gap(seed, NO_DEFECTS) for seed in range(100, 120))
    row = {
        "claim": "subgroup gaps found: with an injected bias; without",
        "ours": f"{biased} of 10 seeds; {unbiased} of 20 seeds",
        "peer": "target: 10 of 10; at most 1 of 20",
        "ratio": "",
        "n": 30,
        **stamp(),
    }
    print(json.dumps(append("trust", row), ensure_ascii=False))


def has_gap(seed: int, defects: Defects) -> bool:
    """Train, and return whether a gap is significant."""
    dataset, ground_truth = shapes.make_shapes(TRAIN, TEST, seed, defects)
    recipe = loading.load_recipe("fast-73", ["training.epochs=8", "training.batch_size=250"])
    trainer = Trainer(recipe, dataset, split_dataset(dataset, recipe.data, seed), seed, "fp32")
    predictions = fit(trainer).probabilities(dataset.test.pixels).argmax(1)
    group = np.full(TEST, "plain", dtype=object)
    random = np.random.default_rng(seed)
    group[ground_truth.spurious_test if defects != NO_DEFECTS else random.permutation(TEST)[: TEST // 2]] = "pink"
    gaps = find_subgroup_gaps({"background": group}, dataset.test.labels, predictions, dataset.class_names)
    return any(gap.significant for gap in gaps)


if __name__ == "__main__":
    main()
