"""CIFAR-10's binary layout: six files of records, in a folder or in the archive they are published in.

A record is one label byte and 3,072 bytes of pixels: the red, green and blue planes of a 32x32 image.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinysight.data.cifar10 import presence
from tinysight.data.cifar10.archive import read_members
from tinysight.data.cifar10.images import (
    BATCH_IMAGES,
    BATCHES,
    CLASS_NAMES,
    PIXEL_BYTES,
    Images,
    check_labels,
    checked_names,
)
from tinysight.errors import DataError

FOLDER = "cifar-10-batches-bin"
FILES = tuple(f"{name}.bin" for name in BATCHES)
FILE_BYTES = BATCH_IMAGES * (1 + PIXEL_BYTES)

# Few enough to stay in the processor's cache between being read and being copied.
_RECORDS_AT_ONCE = 200
_MOST_NAME_BYTES = 10_000


def flaw(folder: Path) -> str:
    """Return which of the six files are missing from `folder`, or of a wrong size, in words; "" if none."""
    return presence.flaw(folder, FILES, lambda size: size == FILE_BYTES, f"{FILE_BYTES:,}")


def read_folder(folder: Path) -> Images:
    """Read data_batch_1.bin to test_batch.bin in `folder`.

    Raises:
        DataError: a file is missing, has the wrong size, or holds a label above 9.
    """
    images = Images.empty()
    # Reading and copying leave Python's lock free; a third thread gains nothing, for memory is the limit.
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(lambda name: _read_file(folder / name, images), FILES))
    return images


def read_archive(path: Path) -> Images:
    """Read the same files from the archive at `path`, without unpacking it to disk.

    Raises:
        DataError: the archive is not whole, or holds anything it should not.
    """
    images = Images.empty()
    read_archived_files(path, lambda name, stream: _read_records(stream, images, name, f"{name} in {path}"))
    return images


def read_archived_files(path: Path, consume: Callable[[str, io.BufferedReader], None]) -> None:
    """Hand each of the six files in the archive at `path` to `consume`, as its name and a stream."""
    sizes = {f"{FOLDER}/{name}": FILE_BYTES for name in FILES}
    read_members(path, sizes, lambda member, stream: consume(Path(member).name, stream))


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the names in `folder`/batches.meta.txt, or the published ones if there is no such file."""
    path = folder / "batches.meta.txt"
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_NAME_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return CLASS_NAMES
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}; mend or remove it.") from error
    return checked_names(text.split(), str(path))


def _read_file(path: Path, images: Images) -> None:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != FILE_BYTES:
                raise DataError(f"{path} has {size:,} bytes instead of {FILE_BYTES:,}; get it again.")
            _read_records(file, images, path.name, str(path))
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}; get it again.") from error


def _read_records(stream: io.BufferedReader, images: Images, name: str, source: str) -> None:
    pixels, labels = images.batch(Path(name).stem)
    records = np.empty((_RECORDS_AT_ONCE, 1 + PIXEL_BYTES), np.uint8)
    for start in range(0, BATCH_IMAGES, _RECORDS_AT_ONCE):
        if stream.readinto(records.data) != records.nbytes:
            raise DataError(f"{source} ends too early; get it again.")
        pixels[start : start + _RECORDS_AT_ONCE] = records[:, 1:]
        labels[start : start + _RECORDS_AT_ONCE] = records[:, 0]
    check_labels(labels, source)
