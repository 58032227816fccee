"""Check that the six files of a layout exist, by name and size."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence
from pathlib import Path


def holds_any(folder: Path, names: Sequence[str]) -> bool:
    """Return whether any of the files `names` is in `folder`."""
    return any(_size(folder / name) is not None for name in names)


def flaw(folder: Path, names: Sequence[str], fits: Callable[[int], bool], expected: str) -> str:
    """Describe which of the files `names` in `folder` are missing or have a wrong size; "" if none.

    Args:
        folder: the folder to check.
        names: the expected files.
        fits: returns whether a size in bytes is valid.
        expected: a description of valid sizes, for the message.
    """
    sizes = {name: _size(folder / name) for name in names}
    missing = [name for name, size in sizes.items() if size is None]
    if missing:
        return f"missing {', '.join(missing)}"
    wrong = [(name, size) for name, size in sizes.items() if size is not None and not fits(size)]
    return ", ".join(f"{name} has {size:,} bytes instead of {expected}" for name, size in wrong)


def _size(path: Path) -> int | None:
    # Unlike Path.is_file, os.path.isfile returns False for a file in a folder without access permission.
    return os.path.getsize(path) if os.path.isfile(path) else None
