"""Scaling law of the fast networks: accuracy as a function of the images seen in training.

    python benchmarks/scaling_law.py          run the missing trainings, shortest first, then fit
    python benchmarks/scaling_law.py --fit    only fit

Accuracy is on the validation split, so that the test split does not influence what --minutes chooses. Appends one row
per training to benchmarks/results/law.jsonl and writes src/tinysight/training/scaling_law.toml. Needs CIFAR-10 in
TINYSIGHT_DATA_DIR or one of the usual locations, and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from common import append, images_seen, read, stamp, tinysight
from scipy.optimize import minimize_scalar

from tinysight._util.hardware import native_bf16
from tinysight.recipes.loading import load_recipe
from tinysight.runs.run import Run
from tinysight.training.forecast import SCALING_LAW_FILE, probe_images_per_second, scale_lr_for_short_run

# stem stride, channels, epochs: cheapest first
TRAININGS = [
    (2, (32, 64, 64), (1, 2, 4, 8)),
    (1, (32, 64, 64), (1, 2, 4, 8)),
    (1, (32, 128, 128), (1, 2, 4, 8)),
    (1, (64, 128, 128), (1, 2, 6)),
    (1, (64, 256, 256), (2, 4, 8)),
]
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="only fit the law")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()
    for training in [] if arguments.fit else missing(arguments.seeds):
        print(json.dumps(append("law", measure(*training))), flush=True)
    SCALING_LAW_FILE.write_text(law(valid()), encoding="utf-8")


def valid() -> list[Row]:
    """Return the rows at the learning rate that --minutes uses; rows without a rate were trained at 0.14."""
    return [row for row in read("law") if row.get("learning_rate", 0.14) == rate(row["epochs"])]


def missing(seeds: list[int]) -> list[tuple[int, tuple[int, ...], int, int]]:
    """Return stem stride, channels, epochs and seed of the missing trainings, shortest first."""
    measured = {(row["stem_stride"], tuple(row["channels"]), row["epochs"], row["seed"]) for row in valid()}
    trainings = [(s, w, epochs, seed) for seed in seeds for s, w, counts in TRAININGS for epochs in counts]
    return sorted(set(trainings) - measured, key=lambda training: (training[2], training[3], training[1], training[0]))


def rate(epochs: int) -> float:
    """Return the learning rate that --minutes uses for `epochs`."""
    return scale_lr_for_short_run(load_recipe("fast"), epochs).optimizer.learning_rate


def measure(stem_stride: int, channels: tuple[int, ...], epochs: int, seed: int) -> Row:
    """Return the measurements of one training run."""
    settings = [
        f"model.stem_stride={stem_stride}",
        f"model.channels={list(channels)}",
        f"optimizer.learning_rate={rate(epochs)}",
    ]
    overrides = [argument for setting in settings for argument in ("--set", setting)]
    probe = probe_images_per_second(load_recipe("fast", settings), "bf16" if native_bf16() else "fp32")
    with tempfile.TemporaryDirectory() as folder:
        command = ["train", "fast", "--epochs", str(epochs), *overrides, "--seed", str(seed), "--out", f"{folder}/run"]
        tinysight(*command)
        run = Run.open(Path(folder, "run"))
        summary, history = run.summary(), run.history()
    images = images_seen(history)
    epoch_seconds = sum(epoch.seconds for epoch in history)
    return {
        "stem_stride": stem_stride,
        "channels": list(channels),
        "epochs": epochs,
        "seed": seed,
        "seen": round(images),
        "val_accuracy": summary.val_accuracy,
        "train_seconds": round(summary.train_seconds, 2),
        "setup_seconds": round(summary.train_seconds - epoch_seconds, 2),
        "images_per_second": round(images / epoch_seconds, 1),
        "probe": round(probe, 1),
        "learning_rate": rate(epochs),
        **stamp(),
    }


def law(rows: list[Row]) -> str:
    """Return the fitted law of all networks, as TOML."""
    groups = [
        [row for row in rows if (row["stem_stride"], tuple(row["channels"])) == (stem_stride, channels)]
        for stem_stride, channels, _ in TRAININGS
    ]
    power = fit_power(groups)
    candidates, residuals, pace_residuals = [], [], []
    for (stem_stride, channels, _), group in zip(TRAININGS, groups, strict=True):
        (floor, scale), group_residuals = fit(group, power)
        residuals += group_residuals
        paces = [row["images_per_second"] / row["probe"] for row in group if "setup_seconds" in row]
        efficiency = statistics.median(paces)
        pace_residuals += [math.log(pace / efficiency) for pace in paces]
        figures = {"floor": floor, "scale": scale, "power": power, "efficiency": efficiency}
        candidates.append(
            {
                "stem_stride": stem_stride,
                "channels": list(channels),
                **{key: round(float(v), 4) for key, v in figures.items()},
            }
        )
    figures = {
        "spread": twice_deviation(residuals, fitted=2 * len(candidates) + 1),
        "log_speed_spread": twice_deviation(pace_residuals, fitted=len(candidates)),
        "setup_seconds": statistics.median(row["setup_seconds"] for row in rows if "setup_seconds" in row),
    }
    text = tomli_w.dumps({**{key: round(value, 4) for key, value in figures.items()}, "candidate": candidates})
    return f"# Written by benchmarks/scaling_law.py from {len(rows)} trainings. {facts(rows)}\n\n{text}"


def twice_deviation(differences: list[float], fitted: int) -> float:
    """Return two standard deviations of the residuals after fitting `fitted` parameters."""
    return 2 * math.sqrt(sum(difference**2 for difference in differences) / (len(differences) - fitted))


def fit_power(groups: list[list[Row]]) -> float:
    """Return the common exponent of all networks; each has too few trainings for its own."""

    def squares(power: float) -> float:
        return sum(residual**2 for group in groups for residual in fit(group, power)[1])

    return float(minimize_scalar(squares, bounds=(0.1, 2), method="bounded").x)


def fit(rows: list[Row], power: float) -> tuple[tuple[float, float], list[float]]:
    """Return floor and scale of error = floor + scale / seen^power by least squares, and the residuals."""
    seen, accuracies = (np.array([row[key] for row in rows], dtype=float) for key in ("seen", "val_accuracy"))
    terms = np.column_stack([np.ones(len(rows)), seen**-power])
    solution, *_ = np.linalg.lstsq(
        terms / terms[0], 1 - accuracies, rcond=None
    )  # scaled columns, for small rounding errors
    floor, scale = solution / terms[0]
    return (float(floor), float(scale)), list(1 - accuracies - terms @ (floor, scale))


def facts(rows: list[Row]) -> str:
    machines, dates = ({row[key] for row in rows} for key in ("machine", "date"))
    return f"{'; '.join(sorted(machines))}; {', '.join(sorted(dates))}."


if __name__ == "__main__":
    main()
