"""Speed and memory of two checkouts, measured in turn: start-up, training, prediction, latency, peak memory, `fast-85`.

    TINYSIGHT_DATA_DIR=DIR python benchmarks/compare_commits.py OLD [--turns 5] [--only startup speed]

OLD is another checkout of this repository, for example one made by `git worktree add`. Its own speed.py measures it, so
that the two may have different Python interfaces.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import ROOT, append, stamp

Measurements = dict[str, float]
KINDS = ("startup", "speed", "memory", "fast-85")

_SPEED = (
    "import json, os, pathlib, speed; "
    "print(json.dumps(speed.ours('deep', pathlib.Path(os.environ['TINYSIGHT_DATA_DIR']))))"
)
# A child process reports its own peak: KiB on Linux, bytes on macOS.
_PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == 'darwin' else 1024) / 1e6)"
)


def main() -> None:
    """Measure both checkouts in turn, print the medians and append a row per measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="the other checkout")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, help="short ones allow more turns")
    arguments = parser.parse_args()
    turns = [(measure(arguments.old, arguments.only), measure(ROOT, arguments.only)) for _ in range(arguments.turns)]
    old_commit = subprocess.run(
        ["git", "-C", str(arguments.old), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for name in turns[0][0]:
        old, new = ([turn[side][name] for turn in turns] for side in (0, 1))
        ratio = statistics.median(new) / statistics.median(old)
        print(f"{name:<40} {spread(old):>28} {spread(new):>28} {ratio:6.2f}")
        row = {"claim": name, "ours": spread(new), "peer": f"{old_commit}: {spread(old)}", "ratio": f"{ratio:.2f}"}
        append("compare_commits", row | {"n": len(turns), **stamp()})


def measure(checkout: Path, kinds: Sequence[str]) -> Measurements:
    """Return the measurements of these kinds of a checkout, by name."""
    environment = os.environ | {"PYTHONPATH": str((checkout / "src").resolve())}
    command = [sys.executable, "-m", "tinysight"]

    def run(*command: str, folder: Path = ROOT) -> tuple[str, float]:
        start = time.perf_counter()
        completed = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
        return completed.stdout, time.perf_counter() - start

    def peak(recipe: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            training = [*command, "train", recipe, "--data", "cifar10", "--epochs", "1", "--out", f"{folder}/run"]
            return float(run(sys.executable, "-c", _PEAK, *training)[0])

    measurements: Measurements = {}
    if "startup" in kinds:
        for arguments in (["--help"], ["train", "depe"], ["recipes", "list"]):
            seconds = statistics.median(run(*command, *arguments)[1] for _ in range(5))
            measurements[f"`tinysight {' '.join(arguments)}`, s"] = seconds
    if "speed" in kinds:
        speed = json.loads(run(sys.executable, "-c", _SPEED, folder=checkout / "benchmarks")[0])
        measurements["training `deep`, images/s"] = speed["train_images_per_second"]
        measurements["prediction `deep`, images/s"] = speed["predict_images_per_second"]
        measurements["latency of one image `deep`, ms"] = 1000 * speed["predict_one_seconds"]
    if "memory" in kinds:
        measurements["peak memory `simple`, MB"] = peak("simple")
        measurements["peak memory `deep-augmented`, MB"] = peak("deep-augmented")
    if "fast-85" in kinds:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "run")
            _, measurements["`fast-85`, whole command, s"] = run(
                *command, "train", "fast-85", "--data", "cifar10", "--out", str(out)
            )
            run(*command, "evaluate", str(out))
            metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
            measurements["`fast-85`, test accuracy"] = metrics["accuracy"]
    return measurements


def spread(values: list[float]) -> str:
    """Return "median (minimum to maximum)"."""
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


if __name__ == "__main__":
    main()
