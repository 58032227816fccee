"""Pixel arrays, memory-mapped from a file if they are large.

Mapped pages count as memory of the process until they are released. Code that goes through all images therefore uses
`iter_chunks` or `take`, which release the pages after each chunk. The page cache of the operating system keeps them,
so that reading them again is cheap.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight._util.platform import release_pages

Pixels = NDArray[np.uint8]

MAX_IN_MEMORY_BYTES = 2**30  # bytes; larger files are mapped instead of read. CIFAR-10 has 2**27.5
CHUNK_BYTES = 2**24  # default bytes per chunk
RANDOM_CHUNK = 512  # images per chunk at random positions: the system maps about 64 KiB around each


def should_memmap(size: int) -> bool:
    """Return whether pixels of `size` bytes are mapped instead of read into memory."""
    return size > MAX_IN_MEMORY_BYTES


class _Mapping(mmap.mmap):
    """A read-only mapping made by this module. Its pages can be released without losing changes."""


def open_pixels(path: Path, shape: tuple[int, int, int, int]) -> Pixels:
    """Return the pixels in a file, uint8 (n, 3, height, width): in memory, or mapped and read-only if they are large.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is shorter than `shape`.
    """
    if not should_memmap(math.prod(shape)):
        return np.fromfile(path, dtype=np.uint8, count=math.prod(shape)).reshape(shape)
    # Not a private writable mapping: the system would reserve memory for changes to all of it.
    with path.open("rb") as file:
        return np.ndarray(shape, np.uint8, buffer=_Mapping(file.fileno(), math.prod(shape), access=mmap.ACCESS_READ))


def is_memmapped(pixels: Pixels) -> bool:
    """Return whether `pixels` were mapped by `open_pixels`, or are a view of such an array."""
    return _mapping_of(pixels) is not None


def iter_chunks(pixels: Pixels, chunk_size: int | None = None) -> Iterator[Pixels]:
    """Yield all images in order, in chunks of `chunk_size` images or of about `CHUNK_BYTES` bytes.

    Chunks of mapped pixels are writable copies, because torch warns about read-only arrays.
    """
    mapping = _mapping_of(pixels)
    size = chunk_size or max(1, CHUNK_BYTES // max(1, math.prod(pixels.shape[1:])))
    for start in range(0, len(pixels), size):
        chunk = pixels[start : start + size]
        yield chunk if mapping is None else chunk.copy()
        _release(mapping)


def take(pixels: Pixels, indices: NDArray[Any]) -> Pixels:
    """Return a copy of the images at `indices`, either integers (k,) or a boolean mask (n,)."""
    mapping, positions = _mapping_of(pixels), np.flatnonzero(indices) if indices.dtype == np.bool_ else indices
    if mapping is None:
        return np.asarray(pixels[positions])
    copy = np.empty((len(positions), *pixels.shape[1:]), np.uint8)
    for start in range(0, len(positions), RANDOM_CHUNK):
        copy[start : start + RANDOM_CHUNK] = pixels[positions[start : start + RANDOM_CHUNK]]
        _release(mapping)
    return copy


def _mapping_of(pixels: Pixels) -> _Mapping | None:
    owner: Any = pixels
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner if isinstance(owner, _Mapping) else None


def _release(mapping: _Mapping | None) -> None:
    if mapping is not None:
        release_pages(mapping)
