"""CIFAR-10: found on this machine in whatever layout it lies here, or downloaded, and read."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinysight.data.cache import cache_folder
from tinysight.data.cifar10 import binary, pickled, published
from tinysight.data.cifar10.images import CLASS_NAMES
from tinysight.data.dataset import Dataset
from tinysight.errors import DataError, DownloadError
from tinysight.progress import SILENT, Progress


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
    """Return where CIFAR-10 lies, or None. Nothing is read or downloaded.

    Args:
        data_dir: the only folder to look in; if None, that is TINYSIGHT_DATA_DIR. If that is not set either,
            the cache, the datasets of Keras and `./data`, where torchvision's examples put it, are tried.
    """
    named = _named(data_dir)
    for place in _usual_places() if named is None else [named]:
        if location := _inside(place):
            return location
    return None


def load(data_dir: Path | None = None, progress: Progress = SILENT, download: bool = True) -> Dataset:
    """Return CIFAR-10 from where `find` finds it, or download it into the cache.

    `published` is left open, for checking takes longer than reading; see `checked`.

    Args:
        data_dir: as in `find`; nothing is downloaded if it is given.
        progress: told about the download.
        download: whether it may be downloaded.

    Raises:
        DataError: `data_dir` holds no CIFAR-10, or a file of it is damaged.
        DownloadError: CIFAR-10 is not here and cannot be downloaded.
        StorageError: the cache cannot be written.
    """
    location = find(data_dir)
    if location is None:
        _refuse_empty(_named(data_dir))
        location = _downloaded(progress, download)
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
    return Dataset("cifar10", images.train, images.test, names, f"CIFAR-10, {location.layout} layout in {path}")


def checked(dataset: Dataset) -> Dataset:
    """Return the same dataset with `published` filled in, and a remark if it is not the published CIFAR-10."""
    if published.is_published(dataset):
        return dataclasses.replace(dataset, published=True)
    remark = "The images or labels differ from those published as CIFAR-10."
    return dataclasses.replace(dataset, published=False, remarks=(*dataset.remarks, remark))


def _named(data_dir: Path | None) -> Path | None:
    variable = os.environ.get("TINYSIGHT_DATA_DIR")
    return data_dir or (Path(variable).expanduser() if variable else None)


def _usual_places() -> list[Path]:
    keras = Path(os.path.expanduser("~/.keras/datasets"))
    return [cache_folder(), keras, keras / "cifar-10-batches-py-target", Path("data").absolute()]


def _inside(place: Path) -> Location | None:
    for folder in (place / binary.FOLDER, place):
        if _holds_any(folder, binary.FILES):
            return Location("binary", folder)
    for folder in (place / pickled.FOLDER, place):
        if _holds_any(folder, pickled.FILES):
            return Location("pickled", folder)
    archive = place / published.ARCHIVE_NAME
    return Location("archive", archive) if os.path.isfile(archive) else None


def _holds_any(folder: Path, names: tuple[str, ...]) -> bool:
    # Unlike Path.is_file, os.path.isfile takes a folder one may not enter for one that holds nothing.
    return any(os.path.isfile(folder / name) for name in names)


def _refuse_empty(named: Path | None) -> None:
    if named is not None:
        raise DataError(
            f"{named} holds no CIFAR-10: neither {binary.FOLDER}, {pickled.FOLDER} nor {published.ARCHIVE_NAME} "
            "is in it, and it is not one of the two folders itself."
        )


def _downloaded(progress: Progress, download: bool) -> Location:
    try:
        if not download:
            raise DownloadError("The download is switched off.")
        return Location("binary", published.install(progress, published.ARCHIVE))
    except DownloadError as error:
        places = ", ".join(str(place) for place in _usual_places())
        raise DownloadError(
            f"CIFAR-10 was not found in {places}, and was not downloaded: {error} Name the folder that "
            "holds it by --data-dir or TINYSIGHT_DATA_DIR, or run `tinysight data download` when online."
        ) from error


def _check_archive(path: Path) -> None:
    try:
        difference = published.ARCHIVE.difference(path)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error
    if difference:
        raise DataError(
            f"{path} {difference}, so it is not the published archive. If you trust it, unpack it: the "
            f"folder {binary.FOLDER} is read without that check."
        )
