"""Locate CIFAR-10 on this machine, or download it, and read it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinysight._util.errors import DataError, DownloadError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.cache import cache_folder
from tinysight.data.crops import SIX_CROP
from tinysight.data.dataset import Dataset
from tinysight.data.sources.cifar10 import binary_layout, layout, official, python_layout
from tinysight.data.sources.cifar10.layout import CLASS_NAMES

_ARGUMENT, _VARIABLE = "data_dir", "TINYSIGHT_DATA_DIR"


@dataclass(frozen=True)
class Location:
    """A copy of CIFAR-10 on this machine.

    Attributes:
        layout: "binary" and "pickled" are folders of six files, "archive" is the official .tar.gz.
        path: the folder or the archive.
    """

    layout: Literal["binary", "pickled", "archive"]
    path: Path


def find(data_dir: Path | None = None) -> Location | None:
    """Return a complete copy of CIFAR-10, or None. Only names and sizes are checked; nothing is downloaded.

    Args:
        data_dir: the only folder to search; by default TINYSIGHT_DATA_DIR. If neither is set, the search covers
            the cache, the datasets of Keras and `./data`, which torchvision's examples use.
    """
    named = _named_folder(data_dir)
    folders = _default_folders() if named is None else [named[0]]
    locations = (location for folder in folders for location in _locations_in(folder))
    return next((location for location in locations if not _find_problem(location)), None)


def load(data_dir: Path | None = None, progress: Progress = SILENT) -> Dataset:
    """Return CIFAR-10 from the copy that `find` returns, or download it into the cache.

    `published` stays None, because verifying takes longer than reading; see `checked`.

    Args:
        data_dir: as in `find`. If it is given, nothing is downloaded.
        progress: receives the progress of the download.

    Raises:
        DataError: `data_dir` has no complete copy of CIFAR-10, or a file is damaged.
        DownloadError: CIFAR-10 is not on this machine and cannot be downloaded.
        StorageError: the cache cannot be written.
    """
    location = find(data_dir)
    if location is None:
        _raise_for_named_folder(data_dir)
        location = _download(progress)
    return read(location)


def read(location: Location) -> Dataset:
    """Return the images at `location`.

    Raises:
        DataError: a file is missing or damaged, or the archive is not the official one.
    """
    path = location.path
    match location.layout:
        case "binary":
            names, images = binary_layout.class_names(path), binary_layout.read_folder(path)
        case "pickled":
            names, images = python_layout.class_names(path), python_layout.read_folder(path)
        case "archive":
            _verify_archive(path)
            names, images = CLASS_NAMES, binary_layout.read_archive(path)
    source = f"CIFAR-10, {location.layout} layout in {path}"
    return Dataset("cifar10", images.train, images.test, names, source, crops=SIX_CROP)


def verify(dataset: Dataset) -> Dataset:
    """Return the dataset with `published` set, and a note if it differs from the official CIFAR-10."""
    if official.is_official(dataset):
        return dataclasses.replace(dataset, is_official=True)
    note = "The images or labels differ from the official CIFAR-10."
    return dataclasses.replace(dataset, is_official=False, notes=(*dataset.notes, note))


def _named_folder(data_dir: Path | None) -> tuple[Path, str] | None:
    """Return the only folder to search and the argument or variable that names it, or None."""
    variable = os.environ.get(_VARIABLE)
    if variable and data_dir in (None, Path(variable)):  # the command line passes on the value of the variable
        return Path(variable).expanduser(), _VARIABLE
    return None if data_dir is None else (data_dir, _ARGUMENT)


def _default_folders() -> list[Path]:
    keras = Path(os.path.expanduser("~/.keras/datasets"))
    return [cache_folder(), keras, keras / "cifar-10-batches-py-target", Path("data").absolute()]


def _locations_in(root: Path) -> Iterator[Location]:
    """Yield the copies of CIFAR-10 in `root`, complete or not, the fastest layout first."""
    for folder in (root / binary_layout.FOLDER, root):
        if layout.contains_any(folder, binary_layout.FILES):
            yield Location("binary", folder)
    for folder in (root / python_layout.FOLDER, root):
        if layout.contains_any(folder, python_layout.FILES):
            yield Location("pickled", folder)
    if layout.contains_any(root, [official.ARCHIVE_NAME]):
        yield Location("archive", root / official.ARCHIVE_NAME)


def _find_problem(location: Location) -> str:
    """Describe which files at `location` are missing or have a wrong size; "" if none."""
    if location.layout == "binary":
        return binary_layout.find_problem(location.path)
    if location.layout == "pickled":
        return python_layout.find_problem(location.path)
    size, expected = location.path.stat().st_size, official.ARCHIVE.size
    return "" if size == expected else f"{size:,} bytes instead of {expected:,}"


def _raise_for_named_folder(data_dir: Path | None) -> None:
    """Raise DataError if a folder was named, because other folders are then not searched."""
    named = _named_folder(data_dir)
    if named is None:
        return
    folder, named_by = named
    incomplete = next(_locations_in(folder), None)
    if incomplete is None:
        problem = f"{folder}: no CIFAR-10 ({binary_layout.FOLDER}, {python_layout.FOLDER} or {official.ARCHIVE_NAME})."
    else:
        problem = f"{incomplete.path}: incomplete CIFAR-10 ({_find_problem(incomplete)})."
    raise DataError(f"{problem} Set {named_by} to a complete copy, or unset it and run `tinysight data download`.")


def _download(progress: Progress) -> Location:
    try:
        return Location("binary", official.download(progress))
    except DownloadError as error:
        folders = ", ".join(str(folder) for folder in _default_folders())
        raise DownloadError(
            f"CIFAR-10: no complete copy in {folders}, and the download failed. {error} Set {_ARGUMENT} or {_VARIABLE} "
            "to a folder with a copy, or run `tinysight data download` when online."
        ) from error


def _verify_archive(path: Path) -> None:
    try:
        difference = official.ARCHIVE.mismatch(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check path and permissions.") from error
    if difference:
        raise DataError(
            f"{path}: {difference}, not the official archive. If you trust it, unpack it: the folder "
            f"{binary_layout.FOLDER} is read without this check."
        )
