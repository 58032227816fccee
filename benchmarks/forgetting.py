"""What a hundred people who ask to be forgotten can be shown, on real CIFAR-10.

    python benchmarks/forgetting.py [--recipe fast-85]

Trains, forgets a hundred training images drawn at random, and compares both runs. Appends to
benchmarks/results/trust.jsonl. Needs TINYSIGHT_DATA_DIR, or CIFAR-10 in one of the usual places.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from common import append, stamp, tinysight

from tinysight.audit.subject import Subject
from tinysight.evaluation.compare import compare_runs
from tinysight.runs.evidence import Evidence
from tinysight.runs.run import Run

FORGOTTEN = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="fast-85")
    recipe = parser.parse_args().recipe
    with tempfile.TemporaryDirectory() as folder:
        before, after = Run(Path(folder, "before")), Run(Path(folder, "after"))
        tinysight("train", recipe, "--out", str(before.path))
        tinysight("forget", str(before.path), *drawn(before), "--out", str(after.path))
        for run in (before, after):
            tinysight("evaluate", str(run.path))
        for row in rows(recipe, before, after):
            print(json.dumps(append("trust", {"peer": "", "ratio": "", "n": 1, **row, **stamp()}), ensure_ascii=False))


def drawn(run: Run) -> list[str]:
    """Return the names of some images that the run learned from."""
    subject = Subject.of(run)
    return [subject.names[index] for index in np.random.default_rng(0).choice(subject.images.learn, FORGOTTEN, False)]


def rows(recipe: str, before: Run, after: Run) -> list[dict[str, object]]:
    """Return the lines of RESULTS.md."""
    proof = Evidence(after).forgetting()
    if proof is None:
        raise SystemExit(f"{after.path} forgot nothing.")
    sure, difference, (low, high) = proof.certainty, *proof.difference
    (one,) = compare_runs([before, after]).comparisons
    return [
        {
            "claim": f"`{recipe}`: accuracy before and after forgetting {FORGOTTEN} images",
            "ours": f"{proof.accuracy_before:.4f} and {proof.accuracy_after:.4f}, a difference of {difference:+.4f} "
            f"({low:+.4f} to {high:+.4f}; by chance {one.p:.2f}, McNemar)",
        },
        {
            "claim": f"`{recipe}`: mean certainty of the true class, before and after",
            "ours": f"forgotten {sure.forgotten_before:.3f} and {sure.forgotten_after:.3f}; never seen "
            f"{sure.unseen_before:.3f} and {sure.unseen_after:.3f}",
        },
    ]


if __name__ == "__main__":
    main()
