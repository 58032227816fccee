"""Expand file names, globs and folders into image files."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from tinysight._util.errors import InputError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.image_io.formats import FORMAT_NAMES, is_image_file, is_system_name
from tinysight.data.source_report import KINDS_NOT_READ, ReportBuilder, file_kind

ImageInput = tuple[str, Path | None]
"""The name of an image as the user gave it, and its file; None for standard input."""


def expand_inputs(name: str, progress: Progress = SILENT) -> list[ImageInput]:
    """Return the images that `name` stands for; those of a folder or a glob are sorted.

    In a folder, images are recognized by their suffix or content (see `is_image_file`). Links to folders are not
    followed, because they may form a loop.

    Args:
        name: a file, a glob, a folder (searched recursively), or "-" for standard input.
        progress: receives a note for each reason why files of a folder are not used.

    Raises:
        InputError: there are none.
    """
    if name == "-":
        return [(name, None)]
    if os.path.isdir(name):  # unlike the methods of Path, os.path does not raise on a name that is too long
        files = _images_below(Path(name), progress)
    elif os.path.lexists(name) or not glob.has_magic(name):
        files = [name]
    else:
        files = [match for match in glob.glob(name, recursive=True) if os.path.isfile(match)]
    if not files:
        raise InputError(f"{name}: no images found. Supported formats are {FORMAT_NAMES}.")
    return [(file, Path(file)) for file in sorted(files)]


def _images_below(folder: Path, progress: Progress) -> list[str]:
    images, report = list[str](), ReportBuilder()

    def skip_folder(error: OSError) -> None:
        report.skip("folder", "that cannot be read", str(error.filename))

    for root, folders, files in os.walk(folder, onerror=skip_folder):
        visible = sorted(name for name in folders if not is_system_name(name))
        folders[:] = [name for name in visible if not Path(root, name).is_symlink()]
        for name in sorted(set(visible) - set(folders)):
            report.skip("link", "to a folder, which is not followed", str(Path(root, name)))
        for path in (Path(root, name) for name in sorted(files) if not is_system_name(name)):
            if path.is_file() and is_image_file(path):
                images.append(str(path))
            else:
                report.skip("file", KINDS_NOT_READ, str(path), file_kind(path.name))
    for note in report.build(len(images)).notes():
        progress.note(f"{folder}: {note}")
    return images
