"""Accuracy and training time of all built-in recipes on CIFAR-10.

    python benchmarks/recipes.py                         all recipes, seeds 0 1 2
    python benchmarks/recipes.py simple deep --seeds 0   some of them

Each training is a new process, evaluated once on the test split. Appends one row per run to
benchmarks/results/recipes.jsonl; `python benchmarks/report.py` updates RESULTS.md, the README and the headers of the
recipes. Needs TINYSIGHT_DATA_DIR, or CIFAR-10 in one of the usual locations, and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from common import append, images_seen, multi_class, stamp, tinysight
from utilization import matrix_rate, share

from tinysight.data.load import load
from tinysight.models.classifier import Classifier
from tinysight.recipes import catalog, loading
from tinysight.runs.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=with_fixed_network())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for recipe in arguments.recipes:
            print(json.dumps(append("recipes", measure(recipe, seed))), flush=True)


def with_fixed_network() -> list[str]:
    """Return the built-in recipes with a fixed network; `benchmarks/time_budget.py` measures the others."""
    return [name for name in catalog.list_recipes() if not loading.load_recipe(name).model.needs_time_budget]


def measure(recipe: str, seed: int) -> dict[str, object]:
    """Return the measurements of one training run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        rates = [matrix_rate()]
        tinysight("train", recipe, "--data", "cifar10", "--seed", str(seed), "--out", str(path))
        rates.append(matrix_rate())
        tinysight("evaluate", str(path), "--tta")
        run = Run.open(path)
        summary, metrics, environment, history = (
            run.summary(),
            multi_class(run.metrics()),
            run.environment(),
            run.history(),
        )
        utilization = share(run.recipe(), images_seen(history), summary.train_seconds, statistics.mean(rates))
        changed = predictions_changed(run.classifier())
    return {
        "recipe": recipe,
        "seed": seed,
        "epochs": summary.epochs,
        "test_accuracy": metrics.accuracy,
        "test_accuracy_tta": metrics.accuracy_tta,
        "val_accuracy": summary.val_accuracy,
        "train_seconds": round(summary.train_seconds, 1),
        "total_seconds": round(summary.total_seconds, 1),
        "precision": environment.precision,
        "published": environment.dataset.is_official,
        **({**utilization, "answers_changed_by_bf16": changed} if environment.precision == "bf16" else {}),
        **stamp(),
    }


def predictions_changed(classifier: Classifier) -> float:
    """Return the fraction of test images whose prediction differs from float32's."""
    pixels = load("cifar10").test.pixels
    float32 = classifier.with_spec(bf16_margin=None)
    return float((classifier.logits(pixels).argmax(1) != float32.logits(pixels).argmax(1)).double().mean())


if __name__ == "__main__":
    main()
