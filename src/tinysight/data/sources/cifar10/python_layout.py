"""CIFAR-10's Python layout: six pickled dicts, as downloaded by Keras and torchvision."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinysight._util.errors import DataError
from tinysight.data.sources.cifar10 import layout, safe_pickle
from tinysight.data.sources.cifar10.layout import (
    BATCH_IMAGES,
    BATCHES,
    CLASS_NAMES,
    PIXEL_BYTES,
    Cifar10Arrays,
    check_class_names,
    check_labels,
)

FOLDER = "cifar-10-batches-py"
FILES = BATCHES

# A batch pickle has at least the bytes of its pixels. The largest official file has 31,035,999, batches.meta 158.
_MIN_BATCH_BYTES = BATCH_IMAGES * PIXEL_BYTES
_MAX_BATCH_BYTES = 40_000_000
_MAX_META_BYTES = 10_000


def find_problem(folder: Path) -> str:
    """Describe which of the six files in `folder` are missing or too short; "" if none."""
    return layout.find_problem(folder, FILES, lambda size: size >= _MIN_BATCH_BYTES, f"{_MIN_BATCH_BYTES:,} or more")


def read_folder(folder: Path) -> Cifar10Arrays:
    """Read data_batch_1 to test_batch in `folder`, without executing code from the pickles.

    Raises:
        DataError: a file is missing, or does not contain a batch of CIFAR-10.
    """
    images = Cifar10Arrays.empty()
    for name in FILES:
        _read_batch(folder / name, images)
    return images


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the class names in `folder`/batches.meta, or the official ones if there is no such file."""
    path = folder / "batches.meta"
    if not path.exists():
        return CLASS_NAMES
    match safe_pickle.load(path, _MAX_META_BYTES):
        case {b"label_names": list(names)} if all(isinstance(name, bytes) for name in names):
            return check_class_names([name.decode(errors="replace") for name in names], str(path))
    raise DataError(f"{path}: no class names in it. Get a new copy or remove it.")


def _read_batch(path: Path, images: Cifar10Arrays) -> None:
    pixels, labels = images.batch(path.name)
    match safe_pickle.load(path, _MAX_BATCH_BYTES):
        case {b"data": np.ndarray() as data, b"labels": list(values)} if (
            data.dtype == np.uint8
            and data.shape == (BATCH_IMAGES, PIXEL_BYTES)
            and len(values) == BATCH_IMAGES
            and all(type(value) is int and 0 <= value <= 255 for value in values)
        ):
            pixels[:] = data
            labels[:] = values
        case _:
            raise DataError(f"{path}: not a batch of 10,000 images and labels. Get a new copy.")
    check_labels(labels, str(path))
