"""What tuning gains, and whether a killed process harms it.

    python benchmarks/tuning.py [--minutes 10] [--recipe early-stopping] [--epochs 2] [--data cifar10] [--seeds 8]

Two commands work on one study, each with half of the cores; half-way one of them is killed without a word. Then the
recipe as it was and the best that was found are trained anew with seeds that the study never saw, each of which also
cuts other validation images, the same for both. The test images are never looked at. Appends to
benchmarks/results/tuning.jsonl.
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

from tinysight.data.dataset import Dataset
from tinysight.data.load import load
from tinysight.evaluation.bootstrap import bootstrap
from tinysight.machine import usable_cores
from tinysight.memory import keep_freed_memory
from tinysight.recipes import loading
from tinysight.recipes.schema import Recipe
from tinysight.tuning.results import best_path
from tinysight.tuning.study import Study
from tinysight.tuning.trial import Subject, attempt

FIRST_SEED = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--recipe", default="early-stopping")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--seeds", type=int, default=8)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study, seconds = tuned(Path(folder, "study"), asked)
        best = loading.load(str(best_path(study.path)))
        pairs = trained_anew(study, best, load(asked.data, best.data.image_size), asked.seeds)
        for row in rows(asked, study, seconds, pairs):
            print(append("tuning", {"peer": "", "ratio": "", **row, **stamp()}))


def tuned(path: Path, asked: argparse.Namespace) -> tuple[Study, float]:
    """Tune by two commands, one of which is killed half-way; return the study and how long the other took."""
    options = ["--epochs", str(asked.epochs), "--data", asked.data, "--minutes", str(asked.minutes), "--out", str(path)]
    command = [sys.executable, "-m", "tinysight", "tune", asked.recipe, *options]
    half = {**os.environ, "OMP_NUM_THREADS": str(max(1, usable_cores() // 2))}
    start = time.perf_counter()
    with subprocess.Popen(command, env=half) as one, subprocess.Popen(command, env=half) as other:
        time.sleep(30 * asked.minutes)
        other.send_signal(signal.SIGKILL)
        if one.wait():
            raise SystemExit("the process that was left alone failed")
    return Study.open(path), time.perf_counter() - start


def trained_anew(study: Study, best: Recipe, dataset: Dataset, seeds: int) -> np.ndarray:
    """Return the validation accuracies of the recipe as it was and of the best, (seeds, 2)."""
    keep_freed_memory()
    found = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        subject = Subject.of(dataset, best, seed, study.record.precision, study.record.device)
        outcomes = [attempt(subject, one, seed, lambda *_: False, lambda: False) for one in (study.record.recipe, best)]
        found.append([outcome.accuracy for outcome in outcomes])
        print(f"seed {seed}: as it was {found[-1][0]:.4f}, tuned {found[-1][1]:.4f}", file=sys.stderr)
    return np.array(found)


def rows(asked: argparse.Namespace, study: Study, seconds: float, pairs: np.ndarray) -> list[dict[str, object]]:
    """Return the lines of RESULTS.md."""
    trials, fresh = study.trials(), study.fresh()
    states = {state: sum(one.state == state for one in trials) for state in ("finished", "pruned", "failed", "lost")}
    ended = [tuple(trial.values.items()) for trial in trials if trial.state == "finished"]
    gains = pairs[:, 1] - pairs[:, 0]
    (low,), (high,) = bootstrap(lambda counts: np.array([np.average(gains, weights=counts)]), len(gains))
    what = f"`tune {asked.recipe} --epochs {asked.epochs} --minutes {asked.minutes:g}` on {asked.data}"
    return [
        {
            "claim": f"{what}: validation accuracy with fresh seeds, as it was and tuned",
            "ours": f"{pairs[:, 0].mean():.4f} and {pairs[:, 1].mean():.4f}, a difference of {gains.mean():+.4f} "
            f"({low:+.4f} to {high:+.4f}, bootstrap of the pairs)",
            "n": len(gains),
        },
        {
            "claim": f"{what}: two processes, one killed half-way",
            "ours": f"{len(trials)} trials ({', '.join(f'{count} {state}' for state, count in states.items())}; "
            f"{len(ended) - len(set(ended))} twice) and {len(fresh)} with fresh seeds, over after {seconds:.1f} s",
            "n": 1,
        },
    ]


if __name__ == "__main__":
    main()
