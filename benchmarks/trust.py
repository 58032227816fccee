"""The whole way from images to a card and a page, on real CIFAR-10: what each step takes and what it finds.

    python benchmarks/trust.py [--recipe fast-90] [--minutes 10] [--keep FOLDER]

Appends to benchmarks/results/trust.jsonl. Needs TINYSIGHT_DATA_DIR, or CIFAR-10 in one of the usual places, and a
machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from common import append, stamp, tinysight

from tinysight.reporting.telling import told
from tinysight.runs.evidence import Evidence
from tinysight.runs.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="fast-90")
    parser.add_argument("--minutes", default="10")
    parser.add_argument("--keep", type=Path, help="the folder to leave the run in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = (arguments.keep or Path(folder)) / "run"
        steps = {
            "train": ["train", arguments.recipe, "--out", str(path)],
            "evaluate": ["evaluate", str(path), "--tta"],
            "audit": ["audit", str(path), "--minutes", arguments.minutes],
            "explain": ["explain", str(path), *(f"--test-index={index}" for index in range(8))],
            "card": ["card", str(path)],
            "report": ["report", str(path)],
        }
        for row in (*took(steps), *found(Run.open(path), arguments.recipe)):
            whole = {"peer": "", "ratio": "", "n": 1, **row, **stamp()}
            print(json.dumps(append("trust", whole), ensure_ascii=False), flush=True)


def took(steps: dict[str, list[str]]) -> list[dict[str, object]]:
    """Run the commands one after the other and return the seconds of each."""
    rows = []
    for name, command in steps.items():
        start = time.perf_counter()
        tinysight(*command)
        rows.append({"claim": f"seconds of `tinysight {name}`", "ours": f"{time.perf_counter() - start:.1f}"})
    return rows


def found(run: Run, recipe: str) -> list[dict[str, object]]:
    """Return what was found out about the run, section by section."""
    metrics, audit = run.metrics(), Evidence(run).audit()
    low, high = metrics["accuracy_ci95"]
    unsure, calibration = metrics["unsure"], metrics["calibration"]
    rows: list[dict[str, object]] = [
        {"claim": f"`{recipe}`: test accuracy", "ours": f"{metrics['accuracy']:.4f} ({low:.4f} to {high:.4f})"},
        {
            "claim": f"`{recipe}`: calibration error; answered where it is not unsure, wrong among these",
            "ours": f"{calibration['ece']:.4f}; {unsure['coverage']:.3f}, {unsure['error']:.4f}",
            "peer": "wanted: .05 wrong",
        },
    ]
    for heading, words in told(audit).items():
        rows.append({"claim": f"`{recipe}`: {heading}", "ours": words})
    for name, attack in (audit.membership.attacks if audit and audit.membership else {}).items():
        caught = ", ".join(f"{one.share:.4f} at {one.false_alarms:.1%}" for one in attack.found)
        ends = f"{attack.interval[0]:.3f} to {attack.interval[1]:.3f}"
        rows.append({"claim": f"`{recipe}`: membership by {name}", "ours": f"AUC {attack.auc:.3f} ({ends}); {caught}"})
    return rows


if __name__ == "__main__":
    main()
