"""CIFAR-10: found on this machine in whatever layout it lies here, or downloaded, and read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinysight.data.cache import cache_folder
from tinysight.data.cifar10 import binary, pickled, presence, published
from tinysight.data.cifar10.images import CLASS_NAMES
from tinysight.data.dataset import Dataset
from tinysight.data.looks import CLOSER
from tinysight.errors import DataError, DownloadError
from tinysight.progress import SILENT, Progress

_OPTION, _VARIABLE = "--data-dir", "TINYSIGHT_DATA_DIR"


@dataclass(frozen=True)
class Location:
    """Where CIFAR-10 lies.

    Attributes:
        layout: "binary" and "pickled" are folders of six files, "archive" is the published .tar.gz.
        path: that folder or file.
    """

    layout: Literal["binary", "pickled", "archive"]
    path: Path


def find(data_dir: Path | None = None) -> Location | None:
    """Return where CIFAR-10 lies whole, or None. Names and sizes decide: nothing is read or downloaded.

    Args:
        data_dir: the only folder to look in; if None, that is TINYSIGHT_DATA_DIR. If that is not set either,
            the cache, the datasets of Keras and `./data`, where torchvision's examples put it, are tried.
    """
    named = _named(data_dir)
    places = _usual_places() if named is None else [named[0]]
    found = (location for place in places for location in _inside(place))
    return next((location for location in found if not _flaw(location)), None)


def load(data_dir: Path | None = None, progress: Progress = SILENT) -> Dataset:
    """Return CIFAR-10 from where `find` finds it, or download it into the cache.

    `published` is left open, for checking takes longer than reading; see `checked`.

    Args:
        data_dir: as in `find`; nothing is downloaded if it is given.
        progress: told about the download.

    Raises:
        DataError: `data_dir` holds no whole CIFAR-10, or a file is damaged.
        DownloadError: CIFAR-10 is not here and cannot be downloaded.
        StorageError: the cache cannot be written.
    """
    location = find(data_dir)
    if location is None:
        _refuse_named(data_dir)
        location = _downloaded(progress)
    return read(location)


def read(location: Location) -> Dataset:
    """Return the images at `location`.

    Raises:
        DataError: a file is missing or damaged, or the archive is not the published one.
    """
    path = location.path
    match location.layout:
        case "binary":
            names, images = binary.class_names(path), binary.read_folder(path)
        case "pickled":
            names, images = pickled.class_names(path), pickled.read_folder(path)
        case "archive":
            _check_archive(path)
            names, images = CLASS_NAMES, binary.read_archive(path)
    source = f"CIFAR-10, {location.layout} layout in {path}"
    return Dataset("cifar10", images.train, images.test, names, source, looks=CLOSER)


def checked(dataset: Dataset) -> Dataset:
    """Return the same dataset with `published` filled in, and a remark if it is not the published CIFAR-10."""
    if published.is_published(dataset):
        return dataclasses.replace(dataset, published=True)
    remark = "The images or labels differ from those published as CIFAR-10."
    return dataclasses.replace(dataset, published=False, remarks=(*dataset.remarks, remark))


def _named(data_dir: Path | None) -> tuple[Path, str] | None:
    """Return the only folder to look in and what named it, or None if nothing did."""
    variable = os.environ.get(_VARIABLE)
    if variable and data_dir in (None, Path(variable)):  # the command line hands on what the variable says
        return Path(variable).expanduser(), _VARIABLE
    return None if data_dir is None else (data_dir, _OPTION)


def _usual_places() -> list[Path]:
    keras = Path(os.path.expanduser("~/.keras/datasets"))
    return [cache_folder(), keras, keras / "cifar-10-batches-py-target", Path("data").absolute()]


def _inside(place: Path) -> Iterator[Location]:
    """Yield where in `place` there is anything of CIFAR-10, whole or not, the best layout first."""
    for folder in (place / binary.FOLDER, place):
        if presence.holds_any(folder, binary.FILES):
            yield Location("binary", folder)
    for folder in (place / pickled.FOLDER, place):
        if presence.holds_any(folder, pickled.FILES):
            yield Location("pickled", folder)
    if presence.holds_any(place, [published.ARCHIVE_NAME]):
        yield Location("archive", place / published.ARCHIVE_NAME)


def _flaw(location: Location) -> str:
    """Return what is missing at `location`, or of a wrong size, in words; "" if nothing."""
    if location.layout == "binary":
        return binary.flaw(location.path)
    if location.layout == "pickled":
        return pickled.flaw(location.path)
    size, expected = location.path.stat().st_size, published.ARCHIVE.size
    return "" if size == expected else f"it has {size:,} bytes instead of {expected:,}"


def _refuse_named(data_dir: Path | None) -> None:
    """Raise DataError if a folder was named: what is not in it is not looked for elsewhere."""
    named = _named(data_dir)
    if named is None:
        return
    folder, named_by = named
    half = next(_inside(folder), None)
    problem = f"{half.path} holds no whole CIFAR-10: {_flaw(half)}." if half else _nothing_in(folder)
    raise DataError(
        f"{problem} Set {named_by} to a folder that does, or do without it and run `tinysight data download`."
    )


def _nothing_in(folder: Path) -> str:
    return (
        f"{folder} holds no CIFAR-10: neither {binary.FOLDER}, {pickled.FOLDER} nor {published.ARCHIVE_NAME} "
        "is in it, and it is not one of the two folders itself."
    )


def _downloaded(progress: Progress) -> Location:
    try:
        return Location("binary", published.install(progress))
    except DownloadError as error:
        places = ", ".join(str(place) for place in _usual_places())
        raise DownloadError(
            f"CIFAR-10 was not found whole in {places}, and was not downloaded: {error} Name the folder that "
            f"holds it by {_OPTION} or {_VARIABLE}, or run `tinysight data download` when online."
        ) from error


def _check_archive(path: Path) -> None:
    try:
        difference = published.ARCHIVE.difference(path)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}; check that it is there and may be read.") from error
    if difference:
        raise DataError(
            f"{path} {difference}, so it is not the published archive. If you trust it, unpack it: the "
            f"folder {binary.FOLDER} is read without that check."
        )
