"""Training checkpoints that survive a power loss at any moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tinysight._util.errors import RunError
from tinysight._util.files import storage_errors, sync_dir
from tinysight._util.platform import replace
from tinysight.runs.records import RUN_FORMAT, check_format
from tinysight.runs.weights import read_tensors, write_tensors

LATEST, PREVIOUS = "latest.safetensors", "previous.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors (weights, optimizer state) and a JSON state (epoch, step, random states)."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the checkpoint to `folder` and keep the previous one.

    The new file is complete and on disk before the old one is renamed. `load` therefore finds a valid checkpoint
    after a power loss between any two of the renames.
    """
    latest, fresh = folder / LATEST, folder / "fresh.safetensors"
    write_tensors(checkpoint.tensors, {"format": RUN_FORMAT, **checkpoint.state}, fresh)
    with storage_errors(latest):
        if latest.exists():
            replace(latest, folder / PREVIOUS)
        replace(fresh, latest)
        sync_dir(folder)


def load(folder: Path) -> Checkpoint | None:
    """Return the newest valid checkpoint in `folder`, or None if there is no checkpoint.

    Raises:
        RunError: there are checkpoints, and none is valid.
    """
    first_error: RunError | None = None
    for path in (folder / LATEST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            tensors, state, _ = read_tensors(path)
            check_format(state.pop("format", None) if isinstance(state, dict) else None, path)
            return Checkpoint(tensors, state)
        except RunError as error:
            first_error = first_error or error
    if first_error:
        raise first_error
    return None


def latest_mtime(folder: Path) -> float:
    """Return the modification time of the newest checkpoint, in seconds since 1970; 0 if there is none."""
    try:
        return (folder / LATEST).stat().st_mtime
    except OSError:
        return 0.0
