"""`fast-73` against the notebook that it is named after: seconds of training to the same accuracy, in one sitting.

    python benchmarks/race.py --run "PYTHON SCRIPT" --data DIR

PYTHON is an interpreter with tensorflow-cpu and scipy; SCRIPT trains the notebook's augmented `deep` on the binary
layout in DIR with the arguments below, and prints one JSON line with `seconds`, `test_accuracy` after each epoch and
`seconds_to_target`. Half of our ten trainings come before it and half after. Appends these to
benchmarks/results/recipes.jsonl and the comparison to benchmarks/results/race.jsonl. Needs TINYSIGHT_DATA_DIR, or
CIFAR-10 in one of the usual places, and an hour of a machine with nothing else to do.
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
    parser.add_argument("--data", required=True, help="the folder that holds cifar-10-batches-bin")
    arguments = parser.parse_args()
    before = [append("recipes", measure(RECIPE, seed)) for seed in SEEDS[:5]]
    command = [*shlex.split(arguments.run), *PEER, "--data", arguments.data]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    after = [append("recipes", measure(RECIPE, seed)) for seed in SEEDS[5:]]
    print(json.dumps(append("race", row([*before, *after], json.loads(answer.stdout.splitlines()[-1]))), indent=2))


def row(ours: list[dict[str, Any]], peer: dict[str, Any]) -> dict[str, Any]:
    """Return the line of RESULTS.md."""
    times = [one["train_seconds"] for one in ours]
    mean, accuracy = statistics.mean(times), statistics.mean(one["test_accuracy"] for one in ours)
    reached = peer["seconds_to_target"]
    seconds = reached or peer["seconds"]  # what never came so far took at least all of its time
    told = f"{PEER[-1]} after" if reached else f"no more than {max(peer['test_accuracy']):.3f} in"
    return {
        "claim": f"seconds to the accuracy of the notebook's augmented `deep`, `{RECIPE}`",
        "ours": f"{accuracy:.4f} after {mean:.1f} s ({min(times):.1f} to {max(times):.1f})",
        "peer": f"{peer['peer']}: {told} {seconds:,.0f} s, {peer['epochs']} epochs of 50,000 images",
        "ratio": f"{seconds / mean:,.0f} ({seconds / max(times):,.0f} to {seconds / min(times):,.0f})",
        "n": len(ours),
        "peer_accuracies": peer["test_accuracy"],
        **stamp(),
    }


if __name__ == "__main__":
    main()
