"""Whether a planted unfairness raises the alarm, and whether chance does.

    python benchmarks/unfairness.py

Planted, ten seeds: in training, half the pictures of one class are on a pink background; in the test set, half those of
all others are. Not planted, twenty seeds: half the test images, drawn at random, are called the group. Appends to
benchmarks/results/trust.jsonl.
"""

from __future__ import annotations

import json

import numpy as np
from common import append, stamp

from tinysight.audit.groups import find_gaps
from tinysight.data import shapes
from tinysight.data.shapes import NO_FLAWS, Flaws
from tinysight.recipes import loading
from tinysight.training.fitting import fit
from tinysight.training.images import cut
from tinysight.training.trainer import Trainer

TRAIN, TEST, SHARE = 3000, 1500, 0.5


def main() -> None:
    planted = sum(alarm(seed, Flaws(background_gives_away=SHARE)) for seed in range(10))
    chance = sum(alarm(seed, NO_FLAWS) for seed in range(100, 120))
    row = {
        "claim": "alarms of a planted unfairness, and of none",
        "ours": f"{planted} of 10 seeds; {chance} of 20 seeds",
        "peer": "wanted: 10 of 10; at most 1 of 20",
        "ratio": "",
        "n": 30,
        **stamp(),
    }
    print(json.dumps(append("trust", row), ensure_ascii=False))


def alarm(seed: int, flaws: Flaws) -> bool:
    """Train, and return whether the group raises an alarm."""
    dataset, planted = shapes.make(TRAIN, TEST, seed, flaws)
    recipe = loading.load("fast-73", ["training.epochs=8", "training.batch_size=250"])
    trainer = Trainer(recipe, dataset, cut(dataset, recipe.data, seed), seed, "fp32")
    answers = fit(trainer).probabilities(dataset.test.pixels).argmax(1)
    group = np.full(TEST, "plain", dtype=object)
    random = np.random.default_rng(seed)
    group[planted.giveaway_test if flaws != NO_FLAWS else random.permutation(TEST)[: TEST // 2]] = "pink"
    gaps = find_gaps({"background": group}, dataset.test.labels, answers, dataset.class_names)
    return any(gap.alarm for gap in gaps)


if __name__ == "__main__":
    main()
