"""Start-up time of the command line: help, and usage errors.

    python benchmarks/startup.py

Each command runs in a new process, with its files in the page cache.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from common import append, stamp

ROUNDS = 10
TARGETS = {
    ("--help",): 0.4,
    ("train", "depe"): 0.5,
    ("train", "deep", "--set", "training.epoch=5"): 0.5,
    ("recipes", "list"): 0.5,
}


def main() -> None:
    print(f"{'command':<48} {'min':>6} {'median':>6} {'max':>6}  seconds, n = {ROUNDS}")
    for arguments, target in TARGETS.items():
        seconds = sorted(run(arguments) for _ in range(ROUNDS))
        median = statistics.median(seconds)
        command = f"tinysight {' '.join(arguments)}"
        print(
            f"{command:<48} {seconds[0]:6.2f} {median:6.2f} {seconds[-1]:6.2f}  {'ok' if median < target else 'SLOW'}"
        )
        ours = f"{median:.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f})"
        claim = f"`{command}` takes under {target} s"
        append("startup", {"claim": claim, "ours": ours, "peer": "", "ratio": "", "n": ROUNDS, **stamp()})


def run(arguments: tuple[str, ...]) -> float:
    """Return the duration of a command in seconds; some commands fail on purpose."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tinysight", *arguments], capture_output=True, check=False)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
