"""The main job in under three minutes: train, evaluate, predict, and say where to look.

Uses CIFAR-10 where it is found or can be downloaded; otherwise the built-in shapes, and says so.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

from tinysight.data import cifar10
from tinysight.errors import DownloadError, TinysightError
from tinysight.runs.run import Run
from tinysight.screen.console import complain, output, progress

RECIPE = "fast"
CIFAR10_MINUTES = "1.75"  # with start, evaluation and prediction, the whole is done in under three
SHAPES_MINUTES = "0.5"


def main() -> None:
    """Show the main job; where that cannot be done, say why in one sentence, as the command line does."""
    try:
        demonstrate()
    except TinysightError as error:
        complain(str(error))
        sys.exit(error.exit_code)


def demonstrate() -> None:
    """Do the main job and tell what came out."""
    start = time.perf_counter()
    data, minutes = _choose_images()
    path = _free_folder()
    tinysight("train", RECIPE, "--data", data, "--minutes", minutes, "--out", str(path))
    tinysight("evaluate", str(path))
    tinysight("predict", str(path), "--test-index", "16", "--test-index", "25", "--test-index", "42")
    _tell(Run.open(path), time.perf_counter() - start)


def tinysight(*arguments: str) -> None:
    """Run the command line as a person would, showing the command; stop the demo if it fails."""
    output.print(f"\n$ tinysight {shlex.join(arguments)}", style="bold")
    finished = subprocess.run([sys.executable, "-m", "tinysight", *arguments], check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def _choose_images() -> tuple[str, str]:
    """Return what --data and --minutes are told: CIFAR-10 if it is at hand or can be fetched.

    A wrong TINYSIGHT_DATA_DIR or a full disk is for the user to mend, and no reason for other images.
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
    output.print(
        f"{rule}\n  These are NOT photographs: the demo uses the built-in `shapes`.\n{rule}", style="bold yellow"
    )
    output.print(reason + "\n")


def _free_folder() -> Path:
    number = 1
    while Path("runs", f"demo-{number}").exists():
        number += 1
    return Path("runs", f"demo-{number}")


def _tell(run: Run, seconds: float) -> None:
    metrics, summary = run.metrics(), run.summary()
    low, high = metrics["accuracy_ci95"]
    what = "real CIFAR-10 photographs" if summary.dataset == "cifar10" else "built-in shapes (NOT photographs)"
    output.print(f"\nReached {metrics['accuracy']:.1%} of {metrics['n']:,} test images: {what}", style="bold")
    output.print(
        f"95 % interval {low:.1%} to {high:.1%}; {summary.epochs} epochs; the whole demo took {seconds:.0f} s."
    )
    output.print("\nOpen these next:")
    for name, why in (
        ("plots/mistakes.png", "the most confident mistakes"),
        ("plots/confusion-rates.png", "which classes are taken for which"),
        ("plots/curves.png", "how training went"),
        ("metrics.json", "every figure"),
    ):
        output.print(f"  {run.path / name}  {why}")
    output.print(f"\nThen try your own photo:  .venv/bin/tinysight predict {run.path} PHOTO.jpg")


if __name__ == "__main__":
    main()
