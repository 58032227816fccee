"""Peak memory of one epoch on CIFAR-10, with the largest network and with the most augmentation.

python benchmarks/peak_memory.py
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
        # Maximum over all children so far: KiB on Linux, bytes on macOS.
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9
        print(f"{recipe}: peak so far {peak:.2f} GB")
    claim = f"peak memory of a training process ({', '.join(RECIPES)}), under {LIMIT} GB"
    append("memory", {"claim": claim, "ours": f"{peak:.2f} GB", "peer": "", "ratio": "", "n": 1, **stamp()})


if __name__ == "__main__":
    main()
