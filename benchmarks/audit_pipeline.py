"""Complete audit pipeline on CIFAR-10, from training to the report: duration and results.

    python benchmarks/audit_pipeline.py [--recipe fast-90] [--minutes 10] [--keep FOLDER]

Appends to benchmarks/results/trust.jsonl. Needs TINYSIGHT_DATA_DIR, or CIFAR-10 in one of the usual
locations, and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from common import append, multi_class, stamp, tinysight

from tinysight.auditing.registry import report_sections
from tinysight.auditing.sections.membership_inference import MembershipInferenceSection
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="fast-90")
    parser.add_argument("--minutes", default="10")
    parser.add_argument("--keep", type=Path, help="keep the run in this folder")
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
        for row in (*time_steps(steps), *result_rows(Run.open(path), arguments.recipe)):
            complete = {"peer": "", "ratio": "", "n": 1, **row, **stamp()}
            print(json.dumps(append("trust", complete), ensure_ascii=False), flush=True)


def time_steps(steps: dict[str, list[str]]) -> list[dict[str, object]]:
    """Run the commands in order, and return a row with the duration of each."""
    rows: list[dict[str, object]] = []
    for name, command in steps.items():
        start = time.perf_counter()
        tinysight(*command)
        rows.append({"claim": f"seconds of `tinysight {name}`", "ours": f"{time.perf_counter() - start:.1f}"})
    return rows


def result_rows(run: Run, recipe: str) -> list[dict[str, object]]:
    """Return a row per metric and per section of the audit."""
    metrics, audit = multi_class(run.metrics()), RunArtifacts(run).audit()
    low, high = metrics.accuracy_ci95
    selective, calibration = metrics.selective, metrics.calibration
    rows: list[dict[str, object]] = [
        {"claim": f"`{recipe}`: test accuracy", "ours": f"{metrics.accuracy:.4f} ({low:.4f} to {high:.4f})"},
        {
            "claim": f"`{recipe}`: calibration error; coverage and error rate above the unsure threshold",
            "ours": f"{calibration.ece:.4f}; {selective.coverage:.3f}, {selective.error:.4f}",
            "peer": "target: error rate .05",
        },
    ]
    rows += [{"claim": f"`{recipe}`: {s.heading}", "ours": s.summary} for s in report_sections(run)]
    membership = audit.result(MembershipInferenceSection()) if audit else None
    for name, attack in (membership.attacks if membership else {}).items():
        rates = ", ".join(f"TPR {point.tpr:.4f} at FPR {point.fpr:.1%}" for point in attack.tpr_at_fpr)
        interval = f"{attack.interval[0]:.3f} to {attack.interval[1]:.3f}"
        rows.append(
            {
                "claim": f"`{recipe}`: membership inference, {name}",
                "ours": f"AUC {attack.auc:.3f} ({interval}); {rates}",
            }
        )
    return rows


if __name__ == "__main__":
    main()
