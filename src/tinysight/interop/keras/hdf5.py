"""Reading HDF5 with distrust: no links, no other files, no array of another shape or size than was expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tinysight import packages
from tinysight.errors import ModelError

if TYPE_CHECKING:
    import h5py

LARGEST = 4 * 2**30  # bytes
Array = NDArray[np.float32]


@contextmanager
def opened(source: Path | BinaryIO, name: str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; whatever h5py stumbles over inside the block becomes a ModelError."""
    packages.require("h5py", extra="keras")
    import h5py

    try:
        if isinstance(source, Path) and source.stat().st_size > LARGEST:
            raise ModelError(f"{name} is larger than {LARGEST >> 30} GiB.")
        with h5py.File(source, "r") as file:
            yield file
    except ModelError:
        raise
    # h5py gives no list of what damaged files make it raise.
    except Exception as error:
        raise ModelError(f"{name} is missing, damaged or no HDF5 file; name the weights that Keras saved.") from error


def group(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a group directly below another one. Raises ModelError if it is not there, or a link."""
    import h5py

    found = _member(parent, name)
    if not isinstance(found, h5py.Group):
        raise ModelError(f"{_place(parent, name)} is no group.")
    return found


def array(parent: h5py.Group, name: str, shape: Sequence[int]) -> Array:
    """Return a dataset of floating point numbers as float32.

    Raises:
        ModelError: it is not there, is a link or lies in another file, or has another shape or kind.
    """
    import h5py

    found = _member(parent, name)
    where = _place(parent, name)
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise ModelError(f"{where} is no array of this file.")
    if found.shape != tuple(shape):
        raise ModelError(f"{where} has the shape {found.shape}, but the architecture says {tuple(shape)}.")
    if found.dtype.kind != "f":
        raise ModelError(f"{where} holds {found.dtype} and not floating point numbers.")
    values: Array = np.asarray(found[...], dtype=np.float32)
    if not np.isfinite(values).all():
        raise ModelError(f"{where} holds numbers that are not finite.")
    return values


def names(parent: h5py.Group, attribute: str) -> list[str]:
    """Return a list of names that is kept as an attribute, or in several of them (NAME0, NAME1, ...) if it is long."""
    if attribute in parent.attrs:
        return [_text(name) for name in parent.attrs[attribute]]
    found, number = [], 0
    while f"{attribute}{number}" in parent.attrs:
        found += [_text(name) for name in parent.attrs[f"{attribute}{number}"]]
        number += 1
    return found


def _member(parent: h5py.Group, name: str) -> Any:
    """Return what a path below a group leads to, if every step of it is a part of this very file."""
    import h5py

    here: Any = parent
    for step in name.split("/"):
        if not isinstance(here, h5py.Group) or step in ("", ".", "..") or step not in here:
            raise ModelError(f"{_place(parent, name)} is missing: these are not the weights of that architecture.")
        if not isinstance(here.get(step, getlink=True), h5py.HardLink):
            raise ModelError(f"{_place(parent, name)} is a link to somewhere else, which is not followed.")
        here = here[step]
    return here


def _place(parent: h5py.Group, name: str) -> str:
    return f"{parent.name.rstrip('/')}/{name}"


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
