"""CIFAR-10's binary layout: six files of records, in a folder or in the official archive.

A record is one label byte and 3,072 bytes of pixels: the red, green and blue planes of a 32x32 image.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinysight._util.errors import DataError
from tinysight.data.sources.cifar10 import layout
from tinysight.data.sources.cifar10.archive import read_tar_members
from tinysight.data.sources.cifar10.layout import (
    BATCH_IMAGES,
    BATCHES,
    CLASS_NAMES,
    PIXEL_BYTES,
    Cifar10Arrays,
    check_class_names,
    check_labels,
)

FOLDER = "cifar-10-batches-bin"
FILES = tuple(f"{name}.bin" for name in BATCHES)
FILE_BYTES = BATCH_IMAGES * (1 + PIXEL_BYTES)

# 600 KB: stays in the CPU cache between reading and copying.
_RECORDS_PER_READ = 200
_MAX_NAME_BYTES = 10_000


def find_problem(folder: Path) -> str:
    """Describe which of the six files in `folder` are missing or have a wrong size; "" if none."""
    return layout.find_problem(folder, FILES, lambda size: size == FILE_BYTES, f"{FILE_BYTES:,}")


def read_folder(folder: Path) -> Cifar10Arrays:
    """Read data_batch_1.bin to test_batch.bin in `folder`.

    Raises:
        DataError: a file is missing, has the wrong size, or holds a label above 9.
    """
    images = Cifar10Arrays.empty()
    # Reading and copying release Python's lock. More than two threads do not help: memory bandwidth is the limit.
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(lambda name: _read_file(folder / name, images), FILES))
    return images


def read_archive(path: Path) -> Cifar10Arrays:
    """Read the same files from the archive at `path`, without unpacking it to disk.

    Raises:
        DataError: the archive is incomplete, or has unexpected content.
    """
    images = Cifar10Arrays.empty()
    read_archived_files(path, lambda name, stream: _read_records(stream, images, name, f"{name} in {path}"))
    return images


def read_archived_files(path: Path, consume: Callable[[str, io.BufferedReader], None]) -> None:
    """Pass each of the six files in the archive at `path` to `consume`, as its name and a stream."""
    sizes = {f"{FOLDER}/{name}": FILE_BYTES for name in FILES}
    read_tar_members(path, sizes, lambda member, stream: consume(Path(member).name, stream))


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the class names in `folder`/batches.meta.txt, or the official ones if there is no such file."""
    path = folder / "batches.meta.txt"
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_NAME_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return CLASS_NAMES
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Repair or remove it.") from error
    return check_class_names(text.split(), str(path))


def _read_file(path: Path, images: Cifar10Arrays) -> None:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != FILE_BYTES:
                raise DataError(f"{path}: {size:,} bytes instead of {FILE_BYTES:,}. Get a new copy.")
            _read_records(file, images, path.name, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Get a new copy.") from error


def _read_records(stream: io.BufferedReader, images: Cifar10Arrays, name: str, source: str) -> None:
    pixels, labels = images.batch(Path(name).stem)
    records = np.empty((_RECORDS_PER_READ, 1 + PIXEL_BYTES), np.uint8)
    for start in range(0, BATCH_IMAGES, _RECORDS_PER_READ):
        if stream.readinto(records.data) != records.nbytes:
            raise DataError(f"{source}: truncated file. Get a new copy.")
        pixels[start : start + _RECORDS_PER_READ] = records[:, 1:]
        labels[start : start + _RECORDS_PER_READ] = records[:, 0]
    check_labels(labels, source)
