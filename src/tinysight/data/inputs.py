"""Expand file names, globs and folders into image files."""

from __future__ import annotations

import glob
import os.path
from pathlib import Path

from tinysight._util.errors import InputError
from tinysight.data.image_io.formats import FORMAT_NAMES, is_image_file, is_system_name

ImageInput = tuple[str, Path | None]
"""The name of an image as the user gave it, and its file; None for standard input."""


def expand_inputs(name: str) -> list[ImageInput]:
    """Return the images that `name` stands for; those of a folder or a glob are sorted.

    In a folder, images are recognized by their suffix or content (see `is_image_file`).

    Args:
        name: a file, a glob, a folder (searched recursively), or "-" for standard input.

    Raises:
        InputError: there are none.
    """
    if name == "-":
        return [(name, None)]
    if os.path.isdir(name):  # unlike the methods of Path, os.path does not raise on a name that is too long
        files = [str(file) for file in Path(name).rglob("*") if _is_image(file, Path(name))]
    elif os.path.lexists(name) or not glob.has_magic(name):
        files = [name]
    else:
        files = [match for match in glob.glob(name, recursive=True) if os.path.isfile(match)]
    if not files:
        raise InputError(f"{name}: no images found. Supported formats are {FORMAT_NAMES}.")
    return [(file, Path(file)) for file in sorted(files)]


def _is_image(file: Path, folder: Path) -> bool:
    is_hidden = any(is_system_name(part) for part in file.relative_to(folder).parts)
    return not is_hidden and file.is_file() and is_image_file(file)
