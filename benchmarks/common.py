"""What the benchmarks share: who measured what on which machine, and where it is written down."""

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

from tinysight import machine
from tinysight.runs.records import Epoch

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent


def stamp() -> dict[str, Any]:
    """Return machine, versions, commit and date: what every figure must carry."""
    here = machine.describe()
    return {
        "machine": f"{here['processor']}, {here['cores']} cores ({', '.join(here['features'])})",
        "versions": f"Python {here['python']}, torch {metadata.version('torch')}, numpy {metadata.version('numpy')}",
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 1),
    }


def tinysight(*arguments: str) -> str:
    """Run the command line in a process of its own, as a user's would be; show its notices and return them."""
    command = [sys.executable, "-m", "tinysight", *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    sys.stderr.write(done.stderr)
    done.check_returncode()
    return done.stderr


def seen(history: Sequence[Epoch]) -> float:
    """Return how many images a training learned from, the same ones again included."""
    return sum(epoch.images_per_second * epoch.seconds for epoch in history)


def told(values: Sequence[float]) -> str:
    """Return mean, smallest and largest of some figures."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def append(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Add `row` to benchmarks/results/NAME.jsonl and return it."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return row


def read(name: str) -> list[dict[str, Any]]:
    """Return the rows of benchmarks/results/NAME.jsonl; none if it has not been measured."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _commit() -> str:
    """Return the commit, marked if anything differs from it but the figures, to which every benchmark adds."""
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{commit}-dirty" if _git("status", "--porcelain", "--", ".", ":!benchmarks/results") else commit


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
