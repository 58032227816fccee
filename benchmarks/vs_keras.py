"""Training time of `fast-73` and of the notebook's Keras network to the same accuracy.

    python benchmarks/vs_keras.py --run "PYTHON SCRIPT" --data DIR

PYTHON is an interpreter with tensorflow-cpu and scipy. SCRIPT trains the notebook's `deep` with augmentation on the
binary layout in DIR with the arguments below, and prints one JSON line with `seconds`, `test_accuracy` after each epoch
and `seconds_to_target`. Five of the ten tinysight trainings run before it and five after. Appends these to
benchmarks/results/recipes.jsonl and the comparison to benchmarks/results/race.jsonl. Needs TINYSIGHT_DATA_DIR, or
CIFAR-10 in one of the usual locations, and an idle machine for an hour.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
from typing import Any

from common import append, stamp
from recipes import measure

RECIPE, SEEDS = "fast-73", range(10)
PEER = ["deep", "--augment", "--epochs", "35", "--target", "0.727"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="interpreter and script, in one string")
    parser.add_argument("--data", required=True, help="the parent folder of cifar-10-batches-bin")
    arguments = parser.parse_args()
    before = [append("recipes", measure(RECIPE, seed)) for seed in SEEDS[:5]]
    command = [*shlex.split(arguments.run), *PEER, "--data", arguments.data]
    completed = subprocess.run(command, check=True, capture_output=True, text=True)
    after = [append("recipes", measure(RECIPE, seed)) for seed in SEEDS[5:]]
    print(json.dumps(append("race", row([*before, *after], json.loads(completed.stdout.splitlines()[-1]))), indent=2))


def row(ours: list[dict[str, Any]], peer: dict[str, Any]) -> dict[str, Any]:
    """Return the row for RESULTS.md."""
    times = [row["train_seconds"] for row in ours]
    mean, accuracy = statistics.mean(times), statistics.mean(row["test_accuracy"] for row in ours)
    target_seconds = peer["seconds_to_target"]
    seconds = target_seconds or peer["seconds"]  # a lower bound if the target was not reached
    outcome = f"{PEER[-1]} after" if target_seconds else f"at most {max(peer['test_accuracy']):.3f} in"
    return {
        "claim": f"seconds to the accuracy of the notebook's `deep` with augmentation, `{RECIPE}`",
        "ours": f"{accuracy:.4f} after {mean:.1f} s ({min(times):.1f} to {max(times):.1f})",
        "peer": f"{peer['peer']}: {outcome} {seconds:,.0f} s, {peer['epochs']} epochs of 50,000 images",
        "ratio": f"{seconds / mean:,.0f} ({seconds / max(times):,.0f} to {seconds / min(times):,.0f})",
        "n": len(ours),
        "peer_accuracies": peer["test_accuracy"],
        **stamp(),
    }


if __name__ == "__main__":
    main()
