"""Membership inference on an overfitted network, and on a network that never saw the images.

    python benchmarks/membership.py [--seeds 0 1 2]

Uses 4,000 images of CIFAR-10: one network trains on 2,000 of them for 40 epochs, the other on none. Appends to
benchmarks/results/trust.jsonl. Needs CIFAR-10 and an idle machine.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from common import append, mean_and_range, stamp

from tinysight.auditing.sections import membership_inference
from tinysight.auditing.shadow_models import ShadowModels, float32_logits, train_shadow_model
from tinysight.data.dataset import Split
from tinysight.data.load import load
from tinysight.data.splits import TrainSplit
from tinysight.recipes import loading
from tinysight.training import precision
from tinysight.training.trainer import Trainer, fit

IMAGES, SHADOWS = 4000, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    results = [measure(seed) for seed in parser.parse_args().seeds]
    overfitted, unseen_data = ([attack.auc for attack in attacks] for attacks in zip(*results, strict=True))
    row = {
        "claim": "membership inference, AUC: network overfitted on 2,000 images; images not used in training",
        "ours": f"{mean_and_range(overfitted)}; {mean_and_range(unseen_data)}",
        "peer": "target: above .80; .50",
        "ratio": "",
        "n": len(results),
        **stamp(),
    }
    print(json.dumps(append("trust", row), ensure_ascii=False))


def measure(seed: int) -> tuple[membership_inference.MembershipAttack, membership_inference.MembershipAttack]:
    """Return the attacks on the overfitted network, and on the network that never saw the images."""
    dataset = load("cifar10")
    recipe = loading.load_recipe("early-stopping", ["training.epochs=40"]).model_copy(update={"early_stopping": None})
    chosen = np.random.default_rng(seed).permutation(len(dataset.train))
    pool, unseen = (
        Split(dataset.train.pixels[part], dataset.train.labels[part])
        for part in (chosen[:IMAGES], chosen[IMAGES : 2 * IMAGES])
    )
    numeric = precision.resolve_precision("auto", recipe)
    target, *others = (
        train_shadow_model(recipe, dataset, pool, number, seed, numeric) for number in range(SHADOWS + 2)
    )
    shadows = ShadowModels.stack(others[1:], pool.labels)
    half = TrainSplit(unseen, np.arange(IMAGES // 2), Split(unseen.pixels[-100:], unseen.labels[-100:]))
    control = fit(Trainer(recipe, dataset, half, seed, numeric))
    overfitted, unseen_data = (
        membership_inference.evaluate_attack(membership_inference.lira(logits, shadows), target.in_mask)
        for logits in (target.logits, float32_logits(control, pool))
    )
    return overfitted, unseen_data


if __name__ == "__main__":
    main()
