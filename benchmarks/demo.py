"""Duration and accuracy of `make demo`, without the installation.

    python benchmarks/demo.py

Set TINYSIGHT_DATA_DIR to an absolute path, so that no download is timed. Without CIFAR-10 and without a network, the
row is about `shapes`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, append, multi_class, stamp

from tinysight.runs.run import Run


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, str(ROOT / "examples" / "demo.py")], cwd=folder, check=True)
        seconds = time.perf_counter() - start
        row = row_of(Run.open(Path(folder, "runs", "demo-1")), seconds)
    print(json.dumps(append("demo", row), ensure_ascii=False))


def row_of(run: Run, seconds: float) -> dict[str, object]:
    """Return the row for RESULTS.md."""
    summary, metrics = run.summary(), multi_class(run.metrics())
    result = f"accuracy {metrics.accuracy:.3f} on {metrics.n:,} test images after {summary.epochs} epochs"
    return {
        "claim": f"`make demo` within three minutes, {summary.dataset}",
        "ours": f"{seconds:.0f} s; {result}",
        "peer": "",
        "ratio": "",
        "n": 1,
        "published": run.environment().dataset.is_official,
        **stamp(),
    }


if __name__ == "__main__":
    main()
