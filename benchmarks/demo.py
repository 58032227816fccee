"""The whole demo as `make demo` starts it, after the installation: how long it takes, and what it ends with.

    python benchmarks/demo.py

With CIFAR-10 at hand (TINYSIGHT_DATA_DIR, as a full path), so that no download is timed; without it and without a
network the row is one of `shapes`, and says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, append, stamp

from tinysight.runs.run import Run


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, str(ROOT / "examples" / "demo.py")], cwd=folder, check=True)
        seconds = time.perf_counter() - start
        row = measured(Run.open(Path(folder, "runs", "demo-1")), seconds)
    print(json.dumps(append("demo", row), ensure_ascii=False))


def measured(run: Run, seconds: float) -> dict[str, object]:
    """Return the line of RESULTS.md."""
    summary, metrics = run.summary(), run.metrics()
    reached = f"accuracy {metrics['accuracy']:.3f} on {metrics['n']:,} test images after {summary.epochs} epochs"
    return {
        "claim": f"`make demo` within three minutes, {summary.dataset}",
        "ours": f"{seconds:.0f} s; {reached}",
        "peer": "",
        "ratio": "",
        "n": 1,
        "published": run.environment().dataset.published,
        **stamp(),
    }


if __name__ == "__main__":
    main()
