"""Train every shipped recipe on real CIFAR-10, evaluate it once on the test set, and keep each run's figures.

    python benchmarks/recipes.py                         all recipes, seeds 0 1 2
    python benchmarks/recipes.py simple deep --seeds 0   some of them

Each run is a process of its own, as a user's would be. Appends one line a run to benchmarks/results/recipes.jsonl;
`python benchmarks/report.py` makes RESULTS.md, the README's table and the recipes' headers of it.
Needs TINYSIGHT_DATA_DIR, or CIFAR-10 in one of the usual places, and a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from common import append, seen, stamp, tinysight
from share import matrix_rate, share

from tinysight.data.load import load
from tinysight.models.classifier import Classifier
from tinysight.recipes import loading, shelf
from tinysight.runs.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=by_epochs())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for recipe in arguments.recipes:
            print(json.dumps(append("recipes", measure(recipe, seed))), flush=True)


def by_epochs() -> list[str]:
    """Return the shipped recipes that name their network; the others are for `benchmarks/minutes.py`."""
    return [name for name in shelf.shipped() if not loading.load(name).model.is_open]


def measure(recipe: str, seed: int) -> dict[str, object]:
    """Return the figures of one training."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        rates = [matrix_rate()]
        tinysight("train", recipe, "--data", "cifar10", "--seed", str(seed), "--out", str(path))
        rates.append(matrix_rate())
        tinysight("evaluate", str(path), "--tta")
        run = Run.open(path)
        summary, metrics, environment, history = run.summary(), run.metrics(), run.environment(), run.history()
        work = share(run.recipe(), seen(history), summary.train_seconds, statistics.mean(rates))
        other = answers_changed(run.classifier())
    return {
        "recipe": recipe,
        "seed": seed,
        "epochs": summary.epochs,
        "test_accuracy": metrics["accuracy"],
        "test_accuracy_tta": metrics["accuracy_tta"],
        "val_accuracy": summary.val_accuracy,
        "train_seconds": round(summary.train_seconds, 1),
        "total_seconds": round(summary.total_seconds, 1),
        "precision": environment.precision,
        "published": environment.dataset.published,
        **({**work, "answers_changed_by_bf16": other} if environment.precision == "bf16" else {}),
        **stamp(),
    }


def answers_changed(classifier: Classifier) -> float:
    """Return the share of the test images whose answer is another than float32's."""
    pixels = load("cifar10").test.pixels
    exact = replace(classifier, doubt=None)
    return float((classifier.logits(pixels).argmax(1) != exact.logits(pixels).argmax(1)).double().mean())


if __name__ == "__main__":
    main()
