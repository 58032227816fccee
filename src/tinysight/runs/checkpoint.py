"""All that `--resume` needs, kept so that power loss at any moment leaves a good one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tinysight.errors import RunError
from tinysight.files import storage_errors, sync_folder
from tinysight.runs.records import FORMAT, require_format
from tinysight.runs.weights import read_tensors, write_tensors

LATEST, PREVIOUS = "latest.safetensors", "previous.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors (weights, the optimiser's memory) and a JSON state (where training stands)."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the checkpoint to `folder`, keeping the one before it.

    The new one is whole and on disk before the old one is touched, so whichever of the three renames a power
    loss falls between, `load` finds a good one.
    """
    latest, fresh = folder / LATEST, folder / "fresh.safetensors"
    write_tensors(checkpoint.tensors, {"format": FORMAT, **checkpoint.state}, fresh)
    with storage_errors(latest):
        if latest.exists():
            latest.replace(folder / PREVIOUS)
        fresh.replace(latest)
        sync_folder(folder)


def load(folder: Path) -> Checkpoint | None:
    """Return the newest good checkpoint in `folder`, or None if none was ever written.

    Raises:
        RunError: there are checkpoints, and not one of them is good.
    """
    damage: RunError | None = None
    for path in (folder / LATEST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            tensors, state, _ = read_tensors(path)
            require_format(state.pop("format", None) if isinstance(state, dict) else None, path)
            return Checkpoint(tensors, state)
        except RunError as error:
            damage = damage or error
    if damage:
        raise damage
    return None


def time_of_latest(folder: Path) -> float:
    """Return when the newest checkpoint in `folder` was written, in seconds since 1970; 0 if there is none."""
    try:
        return (folder / LATEST).stat().st_mtime
    except OSError:
        return 0.0
