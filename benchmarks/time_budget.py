"""Time budget of `train fast --minutes M` on CIFAR-10: duration and accuracy against the forecast.

    python benchmarks/time_budget.py [1 3 8] [--seeds 0 1 2]

Appends one row per training to benchmarks/results/minutes.jsonl. Needs TINYSIGHT_DATA_DIR, or CIFAR-10 in one of
the usual locations, and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from pathlib import Path

from common import append, images_seen, multi_class, stamp, tinysight

from tinysight.runs.run import Run

FORECAST = re.compile(r"about ([\d.]+) epochs at ([\d,]+) images/s; about ([\d.]+)% ± ([\d.]+) by")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", nargs="*", type=float, default=[1, 3, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for minutes in arguments.minutes:
            print(json.dumps(append("minutes", measure(minutes, seed))), flush=True)


def measure(minutes: float, seed: int) -> dict[str, object]:
    """Return the measurements of one training run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        start = time.perf_counter()
        notices = tinysight("train", "fast", "--minutes", str(minutes), "--seed", str(seed), "--out", str(path))
        seconds = time.perf_counter() - start
        tinysight("evaluate", str(path), "--tta")
        run = Run.open(path)
        summary, metrics, model, history = run.summary(), multi_class(run.metrics()), run.recipe().model, run.history()
        published = run.environment().dataset.is_official
    if (forecast := FORECAST.search(notices)) is None:
        raise SystemExit(f"no forecast in:\n{notices}")
    epochs, pace, accuracy, spread = (float(number.replace(",", "")) for number in forecast.groups())
    images = images_seen(history)
    return {
        "minutes": minutes,
        "seed": seed,
        "seconds": round(seconds, 2),
        "over": round(seconds / (60 * minutes) - 1, 4),
        "foretold": round(accuracy / 100, 3),
        "spread": round(spread / 100, 3),
        "test_accuracy": metrics.accuracy,
        "test_accuracy_tta": metrics.accuracy_tta,
        "val_accuracy": summary.val_accuracy,
        "epochs": summary.epochs,
        "foretold_epochs": epochs,
        "foretold_images_per_second": pace,
        "seen": round(images),
        "images_per_second": round(images / sum(epoch.seconds for epoch in history), 1),
        "network": f"stem stride {model.stem_stride}, channels {model.channels}",
        "published": published,
        **stamp(),
    }


if __name__ == "__main__":
    main()
