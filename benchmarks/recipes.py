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
import subprocess
import sys
import tempfile
from pathlib import Path

from common import append, stamp

from tinysight.recipes import shelf
from tinysight.runs.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=shelf.shipped())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for recipe in arguments.recipes:
            print(json.dumps(append("recipes", measure(recipe, seed))), flush=True)


def measure(recipe: str, seed: int) -> dict[str, object]:
    """Return the figures of one training."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        tinysight("train", recipe, "--data", "cifar10", "--seed", str(seed), "--out", str(path))
        tinysight("evaluate", str(path), "--tta")
        run = Run.open(path)
        summary, metrics, environment = run.summary(), run.metrics(), run.environment()
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
        **stamp(),
    }


def tinysight(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "tinysight", *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
