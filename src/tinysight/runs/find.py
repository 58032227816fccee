"""Search for run directories by name, without importing torch."""

from __future__ import annotations

import difflib
from pathlib import Path

RUNS_DIR = Path("runs")
_MAX_LISTED = 5


def list_runs(folder: Path) -> list[Path]:
    """Return the run directories in `folder`, newest first; none if it cannot be read."""
    try:
        runs = [path for path in folder.iterdir() if (path / "summary.json").is_file()]
        return sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []


def suggest_run(path: Path) -> str:
    """Return how to correct a path that is no run: similar runs beside it, in its parent folder or in runs/."""
    runs = list(dict.fromkeys(run for folder in _folders(path) for run in list_runs(folder)))
    names = [str(run) for run in runs]
    same_name = [str(run) for run in runs if run.name == path.name]
    by_name = difflib.get_close_matches(path.name, [run.name for run in runs], n=1)
    similar = same_name or [str(run) for run in runs if run.name in by_name]
    if similar:
        return f"Did you mean {similar[0]!r}?"
    return f"Known runs: {', '.join(names[:_MAX_LISTED])}." if names else "Train a run first."


def _folders(path: Path) -> list[Path]:
    """Return the folders in which a run of that name may be."""
    return [path.parent, path.parent / RUNS_DIR, path.parent.parent, RUNS_DIR]
