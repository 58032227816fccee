"""Checksums of trained weights: `fast-73`, `deep`, a resumed `deep-augmented`, and two workers.

A refactoring must not change a single bit of them. Run the script on two commits, on the same machine, and compare:

    python benchmarks/reproducibility.py                                  # this checkout, on CIFAR-10
    python benchmarks/reproducibility.py --source OLD/src                 # another checkout
    python benchmarks/reproducibility.py --small         # as tests/test_reproducibility.py

The checksum of a run does not depend on the names of the tensors, which may change.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import ROOT, append, stamp
from safetensors import safe_open

SMALL = "shapes:train=3000,test=50"
TRAININGS = {
    "fast-73": ("fast-73",),
    "deep, 1 epoch": ("deep", "--epochs", "1"),
    "fast-73, two workers": ("fast-73", "--workers", "2"),
}
RESUMED = ("deep-augmented", "--epochs", "2")


def main() -> None:
    """Train each run, print its checksum, and append all of them to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=ROOT / "src", help="the `src` folder to import tinysight from")
    parser.add_argument("--small", action="store_true", help=f"train on {SMALL} instead of CIFAR-10")
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "-C", str(arguments.source), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    data = SMALL if arguments.small else "cifar10"
    processes = Subprocesses(data, arguments.source)
    checksums = train_all(data, processes.train, processes.interrupt)
    print("\n".join(f"{name}: {checksum}" for name, checksum in checksums.items()))
    append("reproducibility", stamp() | {"commit": commit, "data": data, "checksums": checksums})


class Subprocesses:
    """Trains in processes of their own, which import tinysight from `source`."""

    def __init__(self, data: str, source: Path) -> None:
        # One thread on small images: with several, the order of additions depends on how they are scheduled.
        threads = {"OMP_NUM_THREADS": "1"} if data == SMALL else {}
        self.environment = os.environ | threads | {"PYTHONPATH": str(source.resolve())}

    def train(self, *arguments: str) -> None:
        """Run `tinysight` with these arguments."""
        command = [sys.executable, "-m", "tinysight", *arguments]
        completed = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if completed.returncode != 0:
            raise SystemExit(completed.stderr)

    def interrupt(self, run: Path, *arguments: str) -> None:
        """Interrupt the training of `run` once its first epoch is recorded; a short one may end before."""
        command = [sys.executable, "-m", "tinysight", *arguments]
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        history = run / "history.jsonl"
        while process.poll() is None and not (history.exists() and history.read_text(encoding="utf-8").strip()):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        process.wait()


def train_all(data: str, train: Callable[..., None], interrupt: Callable[..., None]) -> dict[str, str]:
    """Return the checksum of each training, by name.

    Args:
        data: the images.
        train: runs `tinysight` with the arguments that it receives.
        interrupt: the same for the run that is its first argument, but interrupts the training after an epoch.
    """
    checksums = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in TRAININGS.items():
            run = Path(folder) / name
            train(*_arguments(run, data, *arguments))
            checksums[name] = weights_checksum(run)
        run = Path(folder) / "resumed"
        interrupt(run, *_arguments(run, data, *RESUMED))
        train(*_arguments(run, data, *RESUMED, "--resume"))
        checksums["deep-augmented, 2 epochs, resumed"] = weights_checksum(run)
    return checksums


def _arguments(run: Path, data: str, *arguments: str) -> tuple[str, ...]:
    return ("train", *arguments, "--data", data, "--seed", "0", "--precision", "fp32", "--out", str(run))


def weights_checksum(run: Path) -> str:
    """Return a SHA-256 over the weights of a run that depends on their values and shapes alone."""
    with safe_open(run / "model.safetensors", framework="numpy") as file:
        arrays = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118  # it is no dict
    parts = sorted(hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest() for array in arrays)
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
