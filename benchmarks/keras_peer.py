"""Accuracy and training time of the notebooks' networks in Keras on TensorFlow.

    python benchmarks/keras_peer.py --run "PYTHON SCRIPT" --data DIR [NAME ...]

PYTHON is an interpreter with tensorflow-cpu and scipy; SCRIPT trains one of the notebooks' networks on the
binary layout in DIR with the arguments below and prints one JSON line with `seconds` and `test_accuracy`.
Appends one row per run to benchmarks/results/keras.jsonl.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import time

from common import append, stamp

AUGMENTED = ["--augment"]
PEERS = {
    "simple": ["simple", "--epochs", "20"],
    "deep": ["deep", "--epochs", "20"],
    "strided": ["strided", "--epochs", "20"],
    "deep-augmented": ["deep", "--epochs", "25", *AUGMENTED],
    "strided-augmented": ["strided", "--epochs", "20", *AUGMENTED],
    "strided-augmented-shear": ["strided", "--epochs", "20", *AUGMENTED, "--shear", "0.2"],
    "early-stopping": ["early-stopping", "--epochs", "25"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(PEERS))
    parser.add_argument("--run", required=True, help="interpreter and script, in one string")
    parser.add_argument("--data", required=True, help="the parent folder of cifar-10-batches-bin")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for name in arguments.names:
            command = [*shlex.split(arguments.run), *PEERS[name], "--data", arguments.data, "--seed", str(seed)]
            print(json.dumps(append("keras", measure(name, seed, command))), flush=True)


def measure(name: str, seed: int, command: list[str]) -> dict[str, object]:
    """Return the measurements of one training run."""
    start = time.perf_counter()
    completed = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(completed.stdout.splitlines()[-1])
    return {
        "recipe": name,
        "seed": seed,
        "peer": result["peer"],
        "epochs": result["epochs"],
        "test_accuracy": result["test_accuracy"][-1],
        "train_seconds": round(result["seconds"], 1),
        "total_seconds": round(time.perf_counter() - start, 1),
        **stamp(),
    }


if __name__ == "__main__":
    main()
