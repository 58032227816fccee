"""Whether a folder holds the six files of a layout, told by their names and sizes: none of them is opened."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence
from pathlib import Path


def holds_any(folder: Path, names: Sequence[str]) -> bool:
    """Return whether any of the files `names` is in `folder`."""
    return any(_size(folder / name) is not None for name in names)


def flaw(folder: Path, names: Sequence[str], fits: Callable[[int], bool], expected: str) -> str:
    """Return which of the files `names` are missing from `folder`, or of a wrong size, in words; "" if none.

    Args:
        folder: where they should be.
        names: the files.
        fits: whether a file of so many bytes may be whole.
        expected: the sizes that `fits` takes, in words.
    """
    sizes = {name: _size(folder / name) for name in names}
    missing = [name for name, size in sizes.items() if size is None]
    if missing:
        return f"it lacks {', '.join(missing)}"
    wrong = [(name, size) for name, size in sizes.items() if size is not None and not fits(size)]
    return ", ".join(f"{name} has {size:,} bytes instead of {expected}" for name, size in wrong)


def _size(path: Path) -> int | None:
    # Unlike Path.is_file, os.path.isfile takes a folder one may not enter for one that holds nothing.
    return os.path.getsize(path) if os.path.isfile(path) else None
