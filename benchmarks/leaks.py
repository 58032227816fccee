"""Whether a network that learned its images by heart is caught, and one that never saw them is not.

    python benchmarks/leaks.py [--seeds 0 1 2]

On 4,000 images of CIFAR-10, of which one network learns 2,000 for forty epochs, and another one none. Appends to
benchmarks/results/trust.jsonl. Needs CIFAR-10 and a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from common import append, stamp, told

from tinysight.audit import membership
from tinysight.audit.shadows import Shadows, logits_of, train_shadow
from tinysight.data.dataset import Part
from tinysight.data.load import load
from tinysight.recipes import loading
from tinysight.training import precision
from tinysight.training.fitting import fit
from tinysight.training.images import Images
from tinysight.training.trainer import Trainer

IMAGES, SHADOWS = 4000, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    found = [measure(seed) for seed in parser.parse_args().seeds]
    caught, blind = ([attack.auc for attack in attacks] for attacks in zip(*found, strict=True))
    row = {
        "claim": "membership: AUC on a network over-trained on 2,000 images, and on images that it never saw",
        "ours": f"{told(caught)}; {told(blind)}",
        "peer": "wanted: above .80; .50",
        "ratio": "",
        "n": len(found),
        **stamp(),
    }
    print(json.dumps(append("trust", row), ensure_ascii=False))


def measure(seed: int) -> tuple[membership.Attack, membership.Attack]:
    """Return the attack on what was learned from, and on images of which none was."""
    dataset = load("cifar10")
    recipe = loading.load("early-stopping", ["training.epochs=40"]).model_copy(update={"early_stopping": None})
    chosen = np.random.default_rng(seed).permutation(len(dataset.train))
    pool, unseen = (
        Part(dataset.train.pixels[part], dataset.train.labels[part])
        for part in (chosen[:IMAGES], chosen[IMAGES : 2 * IMAGES])
    )
    numbers = precision.choose("auto", recipe)
    target, *others = (train_shadow(recipe, dataset, pool, number, seed, numbers) for number in range(SHADOWS + 2))
    shadows = Shadows.of(others[1:], pool.labels)
    half = Images(unseen, np.arange(IMAGES // 2), Part(unseen.pixels[-100:], unseen.labels[-100:]))
    stranger = fit(Trainer(recipe, dataset, half, seed, numbers))
    caught, blind = (
        membership.measure(membership.by_likelihood(logits, shadows), target.knows)
        for logits in (target.logits, logits_of(stranger, pool))
    )
    return caught, blind


if __name__ == "__main__":
    main()
