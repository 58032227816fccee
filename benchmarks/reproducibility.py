"""Checksums of trained weights: `fast-73`, `deep`, a resumed `deep-augmented`, and two workers.

A refactoring must not change a single bit of them. Run the script on two commits, on the same machine, and compare:

    python benchmarks/reproducibility.py                      # this checkout
    python benchmarks/reproducibility.py --source OLD/src     # another one

Needs CIFAR-10 in TINYSIGHT_DATA_DIR. The checksum of a run ignores the names of the tensors, which may change.
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
from pathlib import Path

from common import ROOT, append, stamp
from safetensors import safe_open

COMMON = ("--data", "cifar10", "--seed", "0", "--precision", "fp32")
RESUMED = ("deep-augmented", "--epochs", "2")


def main() -> None:
    """Train each run, print its checksum, and append all of them to the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=ROOT / "src", help="the `src` folder to import tinysight from")
    environment = os.environ | {"PYTHONPATH": str(parser.parse_args().source.resolve())}
    checksums = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in {
            "fast-73": ("fast-73",),
            "deep, 1 epoch": ("deep", "--epochs", "1"),
            "fast-73, two workers": ("fast-73", "--workers", "2"),
        }.items():
            run = Path(folder) / name
            subprocess.run(_command(run, *arguments), env=environment, check=True, stdout=subprocess.DEVNULL)
            checksums[name] = _checksum(run)
            print(name, checksums[name], flush=True)
        run = Path(folder) / "resumed"
        _interrupt_after_an_epoch(run, environment)
        subprocess.run(_command(run, *RESUMED, "--resume"), env=environment, check=True, stdout=subprocess.DEVNULL)
        checksums["deep-augmented, 2 epochs, resumed"] = _checksum(run)
        print("resumed", _checksum(run), flush=True)
    append("reproducibility", stamp() | {"checksums": checksums})


def _command(run: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tinysight", "train", *arguments, *COMMON, "--out", str(run)]


def _interrupt_after_an_epoch(run: Path, environment: dict[str, str]) -> None:
    """Interrupt a training some steps into its second epoch."""
    process = subprocess.Popen(_command(run, *RESUMED), env=environment, stdout=subprocess.DEVNULL)
    history = run / "history.jsonl"
    while not (history.exists() and history.read_text(encoding="utf-8").strip()):
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    process.wait()


def _checksum(run: Path) -> str:
    """Return a SHA-256 over the weights of a run that depends on their values and shapes alone."""
    with safe_open(run / "model.safetensors", framework="numpy") as file:
        arrays = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118  # it is no dict
    parts = sorted(hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest() for array in arrays)
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
