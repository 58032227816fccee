"""Accuracy gain of `tune`, and its recovery from a killed process.

    python benchmarks/tuning.py [--minutes 10] [--recipe early-stopping] [--epochs 2] [--data cifar10] [--seeds 8]

Two processes share a study, each with half of the cores; one is killed halfway (SIGKILL). Then the original and the
best recipe are trained with new seeds. A seed also selects the validation split, the same for both recipes. The test
split is not used. Appends to benchmarks/results/tuning.jsonl.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import append, stamp
from scipy.stats import bootstrap

from tinysight._util.allocator import tune_malloc
from tinysight._util.hardware import usable_cores
from tinysight.data.dataset import Dataset
from tinysight.data.load import load
from tinysight.recipes import loading
from tinysight.recipes.schema import Recipe
from tinysight.tuning.results import best_recipe_path
from tinysight.tuning.study import Study
from tinysight.tuning.trial import TrialContext, train_trial

FIRST_SEED = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--recipe", default="early-stopping")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study, seconds = tuned(Path(folder, "study"), arguments)
        best = loading.load_recipe(str(best_recipe_path(study.path)))
        pairs = retrain(study, best, load(arguments.data, best.data.image_size), arguments.seeds)
        for row in rows(arguments, study, seconds, pairs):
            print(append("tuning", {"peer": "", "ratio": "", **row, **stamp()}))


def tuned(path: Path, arguments: argparse.Namespace) -> tuple[Study, float]:
    """Tune with two processes, and kill one halfway; return the study and the duration of the other."""
    options = [
        "--epochs",
        str(arguments.epochs),
        "--data",
        arguments.data,
        "--minutes",
        str(arguments.minutes),
        "--out",
        str(path),
    ]
    command = [sys.executable, "-m", "tinysight", "tune", arguments.recipe, *options]
    half = {**os.environ, "OMP_NUM_THREADS": str(max(1, usable_cores() // 2))}
    start = time.perf_counter()
    with subprocess.Popen(command, env=half) as survivor, subprocess.Popen(command, env=half) as victim:
        time.sleep(30 * arguments.minutes)
        victim.send_signal(signal.SIGKILL)
        if survivor.wait():
            raise SystemExit("The surviving process failed.")
    return Study.open(path), time.perf_counter() - start


def retrain(study: Study, best: Recipe, dataset: Dataset, seeds: int) -> np.ndarray:
    """Return the validation accuracies of the original and the best recipe, (seeds, 2)."""
    tune_malloc()
    accuracies = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        context = TrialContext.create(dataset, best, seed, study.record.precision, study.record.device)
        outcomes = [
            train_trial(context, recipe, seed, lambda *_: False, lambda: False)
            for recipe in (study.record.recipe, best)
        ]
        accuracies.append([outcome.score for outcome in outcomes])
        print(f"seed {seed}: original {accuracies[-1][0]:.4f}, tuned {accuracies[-1][1]:.4f}", file=sys.stderr)
    return np.array(accuracies)


def rows(arguments: argparse.Namespace, study: Study, seconds: float, pairs: np.ndarray) -> list[dict[str, object]]:
    """Return the rows for RESULTS.md."""
    trials, reseeded = study.trials(), study.reseeded_trials()
    states = {
        state: sum(trial.state == state for trial in trials) for state in ("finished", "pruned", "failed", "lost")
    }
    values = [tuple(trial.values.items()) for trial in trials if trial.state == "finished"]
    gains = pairs[:, 1] - pairs[:, 0]
    interval = bootstrap((gains,), np.mean, n_resamples=1000, method="percentile", rng=0).confidence_interval
    what = f"`tune {arguments.recipe} --epochs {arguments.epochs} --minutes {arguments.minutes:g}` on {arguments.data}"
    return [
        {
            "claim": f"{what}: validation accuracy with new seeds, original and tuned",
            "ours": f"{pairs[:, 0].mean():.4f} and {pairs[:, 1].mean():.4f}, a difference of {gains.mean():+.4f} "
            f"({interval.low:+.4f} to {interval.high:+.4f}, bootstrap of the pairs)",
            "n": len(gains),
        },
        {
            "claim": f"{what}: two processes, one killed halfway",
            "ours": f"{len(trials)} trials ({', '.join(f'{count} {state}' for state, count in states.items())}; "
            f"{len(values) - len(set(values))} duplicates) and {len(reseeded)} with new seeds, "
            f"finished after {seconds:.1f} s",
            "n": 1,
        },
    ]


if __name__ == "__main__":
    main()
