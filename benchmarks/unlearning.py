"""Unlearning of 100 training images on CIFAR-10: accuracy and class probability before and after.

    python benchmarks/unlearning.py [--recipe fast-85]

Trains, retrains without 100 random training images, and compares both runs. Appends to
benchmarks/results/trust.jsonl. Needs TINYSIGHT_DATA_DIR, or CIFAR-10 in one of the usual locations.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from common import append, stamp, tinysight

from tinysight.auditing.context import AuditContext
from tinysight.evaluation.significance import compare_runs
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.run import Run

FORGOTTEN = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="fast-85")
    recipe = parser.parse_args().recipe
    with tempfile.TemporaryDirectory() as folder:
        before, after = Run(Path(folder, "before")), Run(Path(folder, "after"))
        tinysight("train", recipe, "--out", str(before.path))
        tinysight("forget", str(before.path), *random_ids(before), "--out", str(after.path))
        for run in (before, after):
            tinysight("evaluate", str(run.path))
        for row in rows(recipe, before, after):
            print(json.dumps(append("trust", {"peer": "", "ratio": "", "n": 1, **row, **stamp()}), ensure_ascii=False))


def random_ids(run: Run) -> list[str]:
    """Return the ids of FORGOTTEN random training images of the run."""
    context = AuditContext.from_run(run)
    return [
        context.names[index]
        for index in np.random.default_rng(0).choice(context.train_split.train_indices, FORGOTTEN, False)
    ]


def rows(recipe: str, before: Run, after: Run) -> list[dict[str, object]]:
    """Return the rows for RESULTS.md."""
    record = RunArtifacts(after).unlearning()
    if record is None or record.true_class_probability is None:
        raise SystemExit(f"{after.path}: holds no record of unlearning.")
    probability, difference, (low, high) = record.true_class_probability, *record.difference
    (comparison,) = compare_runs([before, after]).comparisons
    return [
        {
            "claim": f"`{recipe}`: accuracy before and after unlearning {FORGOTTEN} images",
            "ours": f"{record.accuracy_before:.4f} and {record.accuracy_after:.4f}, a difference of {difference:+.4f} "
            f"({low:+.4f} to {high:+.4f}; McNemar p = {comparison.p_value:.2f})",
        },
        {
            "claim": f"`{recipe}`: mean probability of the true class, before and after",
            "ours": f"forgotten {probability.forgotten_before:.3f} and {probability.forgotten_after:.3f}; unseen "
            f"{probability.unseen_before:.3f} and {probability.unseen_after:.3f}",
        },
    ]


if __name__ == "__main__":
    main()
