"""The three layouts CIFAR-10 lies on disk in, each read into the same arrays.

Binary: six files of 10,000 records, each one label byte and 3,072 bytes of pixels (the red, green and blue
planes of a 32x32 image). Archive: the same files in a gzipped tar. Pickled: six dicts of Python 2. All as
https://www.cs.toronto.edu/~kriz/cifar.html describes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from tinysight.data import pickled
from tinysight.data.archive import read_members
from tinysight.data.dataset import Labels, Part, Pixels
from tinysight.errors import DataError

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
BATCH_IMAGES = 10_000
PIXEL_BYTES = 3 * 32 * 32
BATCH_BYTES = BATCH_IMAGES * (1 + PIXEL_BYTES)
MEMBERS = {f"cifar-10-batches-bin/{name}.bin": BATCH_BYTES for name in BATCHES}

# Small enough to stay in the processor's cache between being read and being copied.
_RECORDS_AT_ONCE = 200

_MOST_PICKLE_BYTES = 40_000_000
_MOST_NAME_BYTES = 10_000


@dataclass(frozen=True)
class Images:
    """Room for all 60,000 images in the published order: five batches to train with, one to test with.

    Attributes:
        pixels: uint8, (60000, 3, 32, 32).
        labels: int64, (60000,).
    """

    pixels: Pixels
    labels: Labels

    @classmethod
    def empty(cls) -> Images:
        """Reserve the room; what is in it is arbitrary."""
        count = len(BATCHES) * BATCH_IMAGES
        return cls(np.empty((count, 3, 32, 32), np.uint8), np.empty(count, np.int64))

    def batch(self, name: str) -> Part:
        """Return a view of the batch `name`."""
        start = BATCHES.index(name) * BATCH_IMAGES
        return self.part(start, start + BATCH_IMAGES)

    def part(self, start: int, stop: int) -> Part:
        """Return a view of some images."""
        return Part(self.pixels[start:stop], self.labels[start:stop])


def read_binary(folder: Path) -> Images:
    """Read `folder`/data_batch_1.bin and the others, two at a time: copying leaves Python's lock free."""
    images = Images.empty()
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(lambda name: _read_file(folder / f"{name}.bin", images.batch(name)), BATCHES))
    return images


def read_archive(path: Path) -> Images:
    """Read the archive at `path` without unpacking it to disk."""
    images = Images.empty()

    def consume(member: str, stream: IO[bytes]) -> None:
        _read_records(stream, images.batch(Path(member).stem), f"{member} in {path}")

    read_members(path, MEMBERS, consume)
    return images


def read_pickled(folder: Path) -> Images:
    """Read `folder`/data_batch_1 and the others with the restricted reader."""
    images = Images.empty()
    for name in BATCHES:
        _read_pickle(folder / name, images.batch(name))
    return images


def binary_class_names(folder: Path) -> tuple[str, ...]:
    """Return the names in `folder`/batches.meta.txt, or the published ones if there is no such file."""
    path = folder / "batches.meta.txt"
    if not path.exists():
        return CLASS_NAMES
    with _reading(path), path.open("rb") as file:
        lines = file.read(_MOST_NAME_BYTES).decode(errors="replace").split("\n")
    return _checked_names([line.strip() for line in lines if line.strip()], path)


def pickled_class_names(folder: Path) -> tuple[str, ...]:
    """Return the names in `folder`/batches.meta, or the published ones if there is no such file."""
    path = folder / "batches.meta"
    if not path.exists():
        return CLASS_NAMES
    match pickled.load(path, _MOST_NAME_BYTES):
        case {b"label_names": list(names)} if all(isinstance(name, bytes) for name in names):
            return _checked_names([name.decode(errors="replace") for name in names], path)
    raise DataError(f"{path} does not hold the names of CIFAR-10's classes; get it again or remove it.")


def _checked_names(names: list[str], path: Path) -> tuple[str, ...]:
    if len(set(names)) != len(CLASS_NAMES) or len(names) != len(CLASS_NAMES):
        raise DataError(f"{path} names {len(set(names))} classes instead of 10; get it again or remove it.")
    return tuple(names)


def _read_file(path: Path, batch: Part) -> None:
    with _reading(path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != BATCH_BYTES:
            raise DataError(f"{path} has {size:,} bytes instead of {BATCH_BYTES:,}; get it again.")
        _read_records(file, batch, str(path))


def _read_records(stream: IO[bytes], batch: Part, name: str) -> None:
    records = np.empty((_RECORDS_AT_ONCE, 1 + PIXEL_BYTES), np.uint8)
    for start in range(0, BATCH_IMAGES, _RECORDS_AT_ONCE):
        if stream.readinto(records) != records.nbytes:
            raise DataError(f"{name} ends too early; get it again.")
        rows = slice(start, start + _RECORDS_AT_ONCE)
        batch.pixels.reshape(BATCH_IMAGES, PIXEL_BYTES)[rows] = records[:, 1:]
        batch.labels[rows] = records[:, 0]
    _check_labels(batch.labels, name)


def _read_pickle(path: Path, batch: Part) -> None:
    match pickled.load(path, _MOST_PICKLE_BYTES):
        case {b"data": np.ndarray() as data, b"labels": list(labels)} if (
            data.dtype == np.uint8
            and data.shape == (BATCH_IMAGES, PIXEL_BYTES)
            and len(labels) == BATCH_IMAGES
            and all(type(label) is int for label in labels)
        ):
            batch.pixels[:] = data.reshape(batch.pixels.shape)
            ...
