"""Which pictures somebody means who names files, globs or folders."""

from __future__ import annotations

import glob
import os.path
from pathlib import Path

from tinysight.data.folders.listing import SUFFIXES
from tinysight.errors import InputError

Picture = tuple[str, Path | None]
"""A picture as the user named it, and its file; None for standard input."""


def expand(name: str) -> list[Picture]:
    """Return the pictures that `name` stands for; those of a folder or a glob are sorted.

    Raises:
        InputError: there are none.
    """
    if name == "-":
        return [(name, None)]
    if os.path.isdir(name):  # unlike the methods of Path, those of os.path take any name, however long
        found = [str(file) for file in Path(name).rglob("*") if _is_picture(file.relative_to(name)) and file.is_file()]
    elif os.path.lexists(name) or not glob.has_magic(name):
        found = [name]
    else:
        found = [match for match in glob.glob(name, recursive=True) if os.path.isfile(match)]
    if not found:
        raise InputError(f"{name}: there are no pictures there (looked for {', '.join(SUFFIXES)}).")
    return [(file, Path(file)) for file in sorted(found)]


def _is_picture(file: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.parts)
    return file.suffix.lower() in SUFFIXES and not hidden
