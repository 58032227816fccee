"""Safe HDF5 reading: no links, no external files, only expected shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tinysight._util import optional_deps
from tinysight._util.errors import ModelError

if TYPE_CHECKING:
    import h5py

MAX_BYTES = 4 * 2**30  # bytes
Array = NDArray[np.float32]


@contextmanager
def open_hdf5(source: Path | BinaryIO, name: str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading. Any h5py error inside the block becomes a ModelError."""
    optional_deps.require("h5py", extra="keras")
    import h5py

    try:
        if isinstance(source, Path) and source.stat().st_size > MAX_BYTES:
            raise ModelError(f"{name}: larger than {MAX_BYTES >> 30} GiB. Give a smaller weights file.")
        with h5py.File(source, "r") as file:
            yield file
    except ModelError:
        raise
    # h5py does not document its exceptions for damaged files.
    except Exception as error:
        raise ModelError(
            f"{name}: missing, damaged or not an HDF5 file. Give a weights file that Keras saved."
        ) from error


def get_group(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a subgroup of `parent`. Raises ModelError if it is missing, a link or not a group."""
    import h5py

    member = _member(parent, name)
    if not isinstance(member, h5py.Group):
        raise ModelError(f"{_path(parent, name)}: not a group. Give a weights file that Keras saved.")
    return member


def read_array(parent: h5py.Group, name: str, shape: Sequence[int]) -> Array:
    """Read a floating-point dataset as float32.

    Raises:
        ModelError: it is missing, a link, in another file, or has a different shape or type.
    """
    import h5py

    member = _member(parent, name)
    path = _path(parent, name)
    if not isinstance(member, h5py.Dataset) or member.external or member.is_virtual:
        raise ModelError(f"{path}: not an array stored in this file. Give a weights file that Keras saved.")
    if member.shape != tuple(shape):
        raise ModelError(
            f"{path}: its shape is {member.shape}, but the architecture needs {tuple(shape)}. Give the weights of this "
            "architecture."
        )
    if member.dtype.kind != "f":
        raise ModelError(
            f"{path}: its type is {member.dtype}, not floating point. Give a weights file that Keras saved."
        )
    values: Array = np.asarray(member[...], dtype=np.float32)
    if not np.isfinite(values).all():
        raise ModelError(f"{path}: contains values that are not finite. Give weights of a training run that converged.")
    return values


def read_names(parent: h5py.Group, attribute: str) -> list[str]:
    """Return a list of names from an attribute; a long list is split over NAME0, NAME1, ..."""
    if attribute in parent.attrs:
        return [_text(name) for name in parent.attrs[attribute]]
    parts, index = [], 0
    while f"{attribute}{index}" in parent.attrs:
        parts += [_text(name) for name in parent.attrs[f"{attribute}{index}"]]
        index += 1
    return parts


def read_text(parent: h5py.Group, attribute: str, limit: int) -> str | None:
    """Return a text attribute, or None if there is none. Raises ModelError if it has more than `limit` bytes."""
    if attribute not in parent.attrs:
        return None
    value = parent.attrs[attribute]
    text = value.decode() if isinstance(value, bytes) else str(value)
    if len(text) > limit:
        raise ModelError(f"{_path(parent, attribute)}: larger than {limit:,} bytes. Give a smaller model.")
    return text


def _member(parent: h5py.Group, name: str) -> Any:
    """Resolve a path below a group; every step must be a hard link in the same file."""
    import h5py

    member: Any = parent
    for step in name.split("/"):
        if not isinstance(member, h5py.Group) or step in ("", ".", "..") or step not in member:
            raise ModelError(f"{_path(parent, name)}: missing. Give the weights of this architecture.")
        if not isinstance(member.get(step, getlink=True), h5py.HardLink):
            raise ModelError(f"{_path(parent, name)}: a link, which is not followed. Save the weights without links.")
        member = member[step]
    return member


def _path(parent: h5py.Group, name: str) -> str:
    return f"{parent.name.rstrip('/')}/{name}"


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
