"""Demo in under three minutes: train, evaluate and predict.

The dataset is CIFAR-10 if it is present or can be downloaded, else the built-in `shapes`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tinysight._util.console import print_error, progress, stdout_console
from tinysight._util.errors import DownloadError, TinysightError
from tinysight._util.platform import join_command
from tinysight.data.sources import cifar10
from tinysight.runs.run import Run

RECIPE = "fast"
CIFAR10_MINUTES = "1.75"  # leaves time for start-up, evaluation and prediction
SHAPES_MINUTES = "0.5"


def main() -> None:
    """Run the demo; print errors in one sentence, as the command line does."""
    try:
        demonstrate()
    except TinysightError as error:
        print_error(str(error))
        sys.exit(error.exit_code)


def demonstrate() -> None:
    """Train, evaluate and predict, and print a summary."""
    start = time.perf_counter()
    data, minutes = _choose_dataset()
    path = _free_folder()
    tinysight("train", RECIPE, "--data", data, "--minutes", minutes, "--out", str(path))
    tinysight("evaluate", str(path))
    tinysight("predict", str(path), "--test-index", "16", "--test-index", "25", "--test-index", "42")
    _print_summary(Run.open(path), time.perf_counter() - start)


def tinysight(*arguments: str) -> None:
    """Print and run a tinysight command; exit with its code if it fails."""
    stdout_console.print(f"\n$ tinysight {join_command(arguments)}", style="bold")
    completed = subprocess.run([sys.executable, "-m", "tinysight", *arguments], check=False)
    if completed.returncode:
        sys.exit(completed.returncode)


def _choose_dataset() -> tuple[str, str]:
    """Return the values of --data and --minutes: CIFAR-10 if it is present or can be downloaded, else shapes.

    Only a failed download falls back to shapes. A wrong TINYSIGHT_DATA_DIR or a full disk is an error.
    """
    try:
        if cifar10.find() is None:
            cifar10.load(progress=progress)
    except DownloadError as error:
        _banner(str(error))
        return "shapes", SHAPES_MINUTES
    return "cifar10", CIFAR10_MINUTES


def _banner(reason: str) -> None:
    rule = "=" * 78
    stdout_console.print(
        f"{rule}\n  These are NOT real photographs: the demo uses the built-in dataset `shapes`.\n{rule}",
        style="bold yellow",
    )
    stdout_console.print(reason + "\n")


def _free_folder() -> Path:
    number = 1
    while Path("runs", f"demo-{number}").exists():
        number += 1
    return Path("runs", f"demo-{number}")


def _print_summary(run: Run, seconds: float) -> None:
    metrics, summary = run.metrics(), run.summary()
    low, high = metrics.accuracy_ci95
    dataset = "real CIFAR-10 photographs" if summary.dataset == "cifar10" else "built-in shapes (NOT real photographs)"
    stdout_console.print(f"\nAccuracy: {metrics.accuracy:.1%} on {metrics.n:,} test images, {dataset}", style="bold")
    stdout_console.print(f"95% interval {low:.1%} to {high:.1%}; {summary.epochs} epochs; total time {seconds:.0f} s.")
    stdout_console.print("\nOpen these next:")
    for name, description in (
        ("plots/mistakes.png", "the most confident mistakes"),
        ("plots/confusion-rates.png", "which classes are confused"),
        ("plots/curves.png", "learning curves"),
        ("metrics.json", "all metrics"),
    ):
        stdout_console.print(f"  {run.path / name}  {description}")
    stdout_console.print(f"\nThen predict your own image:  .venv/bin/tinysight predict {run.path} IMAGE.jpg")


if __name__ == "__main__":
    main()
