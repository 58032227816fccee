"""Measure how the accuracy of each network of the fast family grows with the images it has seen, and fit the law of it.

    python benchmarks/law.py          the trainings that are not measured yet, the short ones first, then the fit
    python benchmarks/law.py --fit    the fit alone

Accuracy is that on the validation images: the test images have no say in what --minutes chooses. Appends one line a
training to benchmarks/results/law.jsonl and writes src/tinysight/training/law.toml. Needs TINYSIGHT_DATA_DIR, or
CIFAR-10 in one of the usual places, and a machine with nothing else to do.
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
from common import append, read, stamp, tinysight
from scipy.optimize import curve_fit

from tinysight.machine import native_bf16
from tinysight.models.registry import build
from tinysight.recipes.loading import load
from tinysight.recipes.schema import Model
from tinysight.runs.run import Run
from tinysight.training.planning import LAW, paced
from tinysight.training.precision import PROBED, step_seconds

# stem, widths, epochs: cheapest first
TRAININGS = [
    ("coarse", (32, 64, 64), (1, 2, 4, 8)),
    ("fine", (32, 64, 64), (1, 2, 4, 8)),
    ("fine", (32, 128, 128), (1, 2, 4, 8)),
    ("fine", (64, 128, 128), (1, 2, 6)),
    ("fine", (64, 256, 256), (2, 4, 8)),
]
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="measure nothing more")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()
    for training in [] if arguments.fit else missing(arguments.seeds):
        print(json.dumps(append("law", measure(*training))), flush=True)
    LAW.write_text(law(valid()), encoding="utf-8")


def valid() -> list[Row]:
    """Return the figures of trainings at the rate that --minutes takes; those of the first day are all at .14."""
    return [row for row in read("law") if row.get("learning_rate", 0.14) == rate(row["epochs"])]


def missing(seeds: list[int]) -> list[tuple[str, tuple[int, ...], int, int]]:
    """Return stem, widths, epochs and seed of what is not measured yet, the shortest first."""
    measured = {(row["stem"], tuple(row["widths"]), row["epochs"], row["seed"]) for row in valid()}
    wanted = [(s, w, epochs, seed) for seed in seeds for s, w, several in TRAININGS for epochs in several]
    return sorted(set(wanted) - measured, key=lambda training: (training[2], training[3], training[1], training[0]))


def rate(epochs: int) -> float:
    """Return the learning rate that --minutes takes for so many epochs."""
    return paced(load("fast"), epochs).optimiser.learning_rate


def measure(stem: str, widths: tuple[int, ...], epochs: int, seed: int) -> Row:
    """Return the figures of one training."""
    settings = [f"model.stem={stem}", f"model.widths={list(widths)}", f"optimiser.learning_rate={rate(epochs)}"]
    changes = [word for change in settings for word in ("--set", change)]
    promised = probe(Model(architecture="fast", stem=stem, widths=list(widths)))
    with tempfile.TemporaryDirectory() as folder:
        command = ["train", "fast", "--epochs", str(epochs), *changes, "--seed", str(seed), "--out", f"{folder}/run"]
        tinysight(*command)
        run = Run.open(Path(folder, "run"))
        summary, history = run.summary(), run.history()
    seen = sum(epoch.images_per_second * epoch.seconds for epoch in history)
    learning = sum(epoch.seconds for epoch in history)
    return {
        "stem": stem,
        "widths": list(widths),
        "epochs": epochs,
        "seed": seed,
        "seen": round(seen),
        "val_accuracy": summary.val_accuracy,
        "train_seconds": round(summary.train_seconds, 2),
        "setup_seconds": round(summary.train_seconds - learning, 2),
        "images_per_second": round(seen / learning, 1),
        "probe": round(promised, 1),
        "learning_rate": rate(epochs),
        **stamp(),
    }


def probe(model: Model) -> float:
    """Return the images a second that the probe promises now."""
    (seconds,) = step_seconds(build(model, 10, 32), 32, ["bf16" if native_bf16() else "fp32"])
    return PROBED / seconds


def law(rows: list[Row]) -> str:
    """Return the law of all networks, as TOML."""
    rungs, misses, freedom, paces = [], [], 0, []
    for stem, widths, _ in TRAININGS:
        own = [row for row in rows if (row["stem"], tuple(row["widths"])) == (stem, widths)]
        floor, scale, power = fit(own)
        misses += [row["val_accuracy"] - 1 + floor + scale * row["seen"] ** -power for row in own]
        freedom += len(own) - 3  # of the figures, three are spent on the three that are fitted
        pace = [row["images_per_second"] / row["probe"] for row in own if "setup_seconds" in row]
        efficiency = statistics.median(pace)
        paces += [math.log(one / efficiency) for one in pace]
        figures = {"floor": floor, "scale": scale, "power": power, "efficiency": efficiency}
        rungs.append({"stem": stem, "widths": list(widths), **{key: round(float(v), 4) for key, v in figures.items()}})
    spread = 2 * math.sqrt(sum(miss**2 for miss in misses) / freedom)
    pace_spread = 2 * math.sqrt(sum(pace**2 for pace in paces) / (len(paces) - len(TRAININGS)))
    setup = statistics.median(row["setup_seconds"] for row in rows if "setup_seconds" in row)
    figures = {"spread": spread, "pace_spread": pace_spread, "setup": setup}
    text = tomli_w.dumps({**{key: round(value, 4) for key, value in figures.items()}, "rung": rungs})
    return f"# Written by benchmarks/law.py from {len(rows)} trainings. {facts(rows)}\n\n{text}"


def fit(rows: list[Row]) -> tuple[float, float, float]:
    """Return floor, scale and power of error = floor + scale / seen^power, by least squares."""
    seen, errors = (np.array([row[key] for row in rows], dtype=float) for key in ("seen", "val_accuracy"))
    errors = 1 - errors
    thousands = seen / 1000
    found, _ = curve_fit(
        lambda n, floor, scale, power: floor + scale * n**-power,
        thousands,
        errors,
        p0=(0.05, 1.0, 0.5),
        bounds=([0, 0, 0.1], [0.2, 100, 2]),
    )
    floor, scale, power = found
    return floor, scale * 1000**power, power


def facts(rows: list[Row]) -> str:
    machines, dates = ({row[key] for row in rows} for key in ("machine", "date"))
    return f"{'; '.join(sorted(machines))}; {', '.join(sorted(dates))}."


if __name__ == "__main__":
    main()
