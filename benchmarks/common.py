"""Shared helpers of the benchmarks: provenance of a measurement, and the files of results."""

from __future__ import annotations

import datetime
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tinysight._util import hardware
from tinysight.runs.records import AnyMetrics, EpochRecord, Metrics

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent


def stamp() -> dict[str, Any]:
    """Return machine, versions, commit, date and load: the provenance of every measurement."""
    machine = hardware.hardware_info()
    versions = f"Python {machine['python']}, torch {metadata.version('torch')}, numpy {metadata.version('numpy')}"
    return {
        "machine": f"{machine['processor']}, {machine['cores']} cores ({', '.join(machine['features'])})",
        "versions": versions,
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 1),
    }


def tinysight(*arguments: str) -> str:
    """Run a tinysight command in a new process; print and return its standard error."""
    command = [sys.executable, "-m", "tinysight", *arguments]
    completed = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    sys.stderr.write(completed.stderr)
    completed.check_returncode()
    return completed.stderr


def multi_class(metrics: AnyMetrics) -> Metrics:
    """Return metrics of one label per image, which is what the datasets of benchmarks have."""
    if not isinstance(metrics, Metrics):
        raise TypeError("The images have several labels.")
    return metrics


def images_seen(history: Sequence[EpochRecord]) -> float:
    """Return the number of images processed in training, counted once per epoch."""
    return sum(epoch.images_per_second * epoch.seconds for epoch in history)


def mean_and_range(values: Sequence[float]) -> str:
    """Return "mean (minimum to maximum)"."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def append(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Add `row` to benchmarks/results/NAME.jsonl and return it."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return row


def read(name: str) -> list[dict[str, Any]]:
    """Return the rows of benchmarks/results/NAME.jsonl, or none if the file does not exist."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _commit() -> str:
    """Return the commit, with "-dirty" if a file outside benchmarks/results differs from it."""
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{commit}-dirty" if _git("status", "--porcelain", "--", ".", ":!benchmarks/results") else commit


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
