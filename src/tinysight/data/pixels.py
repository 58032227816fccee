"""Pixels, and what to do with more of them than memory should hold: map their file, and let go of what was looked at.

What is mapped counts as memory of the process as long as its pages stay. Whoever goes through all images therefore
takes them by `portions` or `gathered`, which give the pages back: to look again costs little, since the system keeps
them as long as it has room.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

LARGE = 2**30  # bytes of pixels up to which a file is read into memory; CIFAR-10 has 2**27.5
PORTION = 2**24  # bytes that are looked at in one go, where nothing else decides
SCATTERED = 512  # images from anywhere that are looked at in one go: with each, the system maps some 64 KiB around it


def large(size: int) -> bool:
    """Return whether pixels of so many bytes are more than memory should hold."""
    return size > LARGE


class _Mapping(mmap.mmap):
    """A file that only this module maps, and only to read, so that letting go of pages loses nobody's changes."""


def open_pixels(path: Path, shape: tuple[int, int, int, int]) -> Pixels:
    """Return the pixels in a file, uint8 (n, 3, height, width): in memory, or mapped and read-only if they are large.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is shorter than that.
    """
    if not large(math.prod(shape)):
        return np.fromfile(path, dtype=np.uint8, count=math.prod(shape)).reshape(shape)
    # Not a private mapping that may be written to: the system would set aside memory for changes to all of it.
    with path.open("rb") as file:
        return np.ndarray(shape, np.uint8, buffer=_Mapping(file.fileno(), math.prod(shape), access=mmap.ACCESS_READ))


def mapped(pixels: Pixels) -> bool:
    """Return whether these are mapped from a file by `open_pixels`, or a view of such."""
    return _mapping_of(pixels) is not None


def portions(pixels: Pixels, count: int | None = None) -> Iterator[Pixels]:
    """Yield all images, `count` at a time or as many as `PORTION` holds; of mapped ones a copy, for torch to take."""
    mapping = _mapping_of(pixels)
    size = count or max(1, PORTION // max(1, math.prod(pixels.shape[1:])))
    for start in range(0, len(pixels), size):
        portion = pixels[start : start + size]
        yield portion if mapping is None else portion.copy()
        _release(mapping)


def gathered(pixels: Pixels, indices: NDArray[Any]) -> Pixels:
    """Return a copy of the images at some indices, (n,), or of those where a mask is true."""
    mapping, found = _mapping_of(pixels), np.flatnonzero(indices) if indices.dtype == np.bool_ else indices
    if mapping is None:
        return np.asarray(pixels[found])
    copy = np.empty((len(found), *pixels.shape[1:]), np.uint8)
    for start in range(0, len(found), SCATTERED):
        copy[start : start + SCATTERED] = pixels[found[start : start + SCATTERED]]
        _release(mapping)
    return copy


def _mapping_of(pixels: Pixels) -> _Mapping | None:
    owner: Any = pixels
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner if isinstance(owner, _Mapping) else None


def _release(mapping: _Mapping | None) -> None:
    if mapping is not None:
        mapping.madvise(mmap.MADV_DONTNEED)
