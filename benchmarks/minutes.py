"""Give `train fast` some minutes on real CIFAR-10, and see whether it keeps its word: when it ends, and how accurate.

    python benchmarks/minutes.py [1 3 8] [--seeds 0 1 2]

Appends one line a training to benchmarks/results/minutes.jsonl. Needs TINYSIGHT_DATA_DIR, or CIFAR-10 in one of
the usual places, and a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import append, stamp

from tinysight.runs.run import Run

FORETOLD = re.compile(r"about ([\d.]+)% ± ([\d.]+) by")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", nargs="*", type=float, default=[1, 3, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for minutes in arguments.minutes:
            print(json.dumps(append("minutes", measure(minutes, seed))), flush=True)


def measure(minutes: float, seed: int) -> dict[str, object]:
    """Return the figures of one training."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        start = time.perf_counter()
        told = tinysight("train", "fast", "--minutes", str(minutes), "--seed", str(seed), "--out", str(path)).stderr
        seconds = time.perf_counter() - start
        tinysight("evaluate", str(path), "--tta")
        run = Run.open(path)
        summary, metrics, model = run.summary(), run.metrics(), run.recipe().model
        published = run.environment().dataset.published
    foretold = FORETOLD.search(told)
    if foretold is None:
        raise SystemExit(f"no forecast in:\n{told}")
    return {
        "minutes": minutes,
        "seed": seed,
        "seconds": round(seconds, 2),
        "over": round(seconds / (60 * minutes) - 1, 4),
        "foretold": float(foretold[1]) / 100,
        "spread": float(foretold[2]) / 100,
        "test_accuracy": metrics["accuracy"],
        "test_accuracy_tta": metrics["accuracy_tta"],
        "val_accuracy": summary.val_accuracy,
        "epochs": summary.epochs,
        "network": f"{model.stem} {model.widths}",
        "published": published,
        **stamp(),
    }


def tinysight(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinysight", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True)


if __name__ == "__main__":
    main()
