"""Measure how the accuracy of each network of the fast family grows with the images it has seen, and fit the law of it.

    python benchmarks/law.py          the trainings that are not measured yet, then the fit
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
from tinysight.recipes.schema import Model
from tinysight.runs.run import Run
from tinysight.training.planning import LAW
from tinysight.training.precision import PROBED, step_seconds

# stem, widths, epochs: cheapest first
TRAININGS = [
    ("coarse", (32, 64, 64), (1, 2, 4, 8)),
    ("fine", (32, 64, 64), (1, 2, 4, 8)),
    ("fine", (32, 128, 128), (1, 2, 4, 8)),
    ("fine", (64, 128, 128), (1, 2, 6)),
    ("fine", (64, 256, 256), (1, 2, 8)),
]
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="measure nothing more")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()
    wanted = (
        [] if arguments.fit else [(s, w, e, seed) for seed in arguments.seeds for s, w, es in TRAININGS for e in es]
    )
    measured = {(row["stem"], tuple(row["widths"]), row["epochs"], row["seed"]) for row in read("law")}
    for training in wanted:
        if training not in measured:
            print(json.dumps(append("law", measure(*training))), flush=True)
    LAW.write_text(law(read("law")), encoding="utf-8")


def measure(stem: str, widths: tuple[int, ...], epochs: int, seed: int) -> Row:
    """Return the figures of one training."""
    network = [f"model.stem={stem}", f"model.widths={list(widths)}"]
    changes = [word for change in network for word in ("--set", change)]
    promised = probe(Model(architecture="fast", stem=stem, widths=list(widths)))
    with tempfile.TemporaryDirectory() as folder:
        command = ["train", "fast", "--epochs", str(epochs), *changes, "--seed", str(seed), "--out", f"{folder}/run"]
        tinysight(*command)
        run = Run.open(Path(folder, "run"))
        summary, history = run.summary(), run.history()
    seen = sum(epoch.images_per_second * epoch.seconds for epoch in history)
    return {
        "stem": stem,
        "widths": list(widths),
        "epochs": epochs,
        "seed": seed,
        "seen": round(seen),
        "val_accuracy": summary.val_accuracy,
        "train_seconds": round(summary.train_seconds, 2),
        "images_per_second": round(seen / summary.train_seconds, 1),
        "probe": round(promised, 1),
        **stamp(),
    }


def probe(model: Model) -> float:
    """Return the images a second that the probe promises now."""
    (seconds,) = step_seconds(build(model, 10, 32), 32, ["bf16" if native_bf16() else "fp32"])
    return PROBED / seconds


def law(rows: list[Row]) -> str:
    """Return the law of all networks, as TOML."""
    rungs, squares, freedom = [], 0.0, 0
    for stem, widths, _ in TRAININGS:
        own = [row for row in rows if (row["stem"], tuple(row["widths"])) == (stem, widths)]
        floor, scale, power = fit(own)
        squares += sum((row["val_accuracy"] - 1 + floor + scale * row["seen"] ** -power) ** 2 for row in own)
        freedom += len(own) - 3  # of the figures, three are spent on the three that are fitted
        # Rows of the first day have a shorter probe, "promised", which often fell into a slow moment.
        efficiency = statistics.median(row["images_per_second"] / row["probe"] for row in own if "probe" in row)
        figures = {"floor": floor, "scale": scale, "power": power, "efficiency": efficiency}
        rungs.append({"stem": stem, "widths": list(widths), **{key: round(float(v), 4) for key, v in figures.items()}})
    text = tomli_w.dumps({"spread": round(2 * math.sqrt(squares / freedom), 4), "rung": rungs})
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
