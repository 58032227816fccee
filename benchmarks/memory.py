"""Peak memory of a training process on real CIFAR-10: the largest network and the most augmentation, one epoch.

python benchmarks/memory.py
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from common import append, stamp, tinysight

LIMIT = 1.5  # GB
RECIPES = ("simple", "deep-augmented")


def main() -> None:
    peak = 0.0
    for recipe in RECIPES:
        with tempfile.TemporaryDirectory() as folder:
            command = ["train", recipe, "--data", "cifar10", "--epochs", "1", "--out", str(Path(folder, "run"))]
            tinysight(*command)
        # The largest child so far, in KiB on Linux and in bytes on macOS.
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9
        print(f"{recipe}: peak so far {peak:.2f} GB")
    claim = f"peak memory of a training process ({', '.join(RECIPES)}), under {LIMIT} GB"
    append("memory", {"claim": claim, "ours": f"{peak:.2f} GB", "peer": "", "ratio": "", "n": 1, **stamp()})


if __name__ == "__main__":
    main()
