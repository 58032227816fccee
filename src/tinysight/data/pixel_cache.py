"""On-disk cache of decoded images, invalidated when a source file changes."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tinysight._util.errors import StorageError
from tinysight._util.locks import file_lock
from tinysight._util.progress import Progress
from tinysight.data.chunk_store import Chunk, ChunkStore
from tinysight.data.image_io import image_file
from tinysight.data.image_io.decode_pool import DecodedBatch, decode_batches
from tinysight.data.image_io.decoding import DecodeFailure, decode_images
from tinysight.data.pixels import Pixels, should_memmap

FILES_PER_CHUNK = 1024  # files; an interruption loses at most one chunk, about a minute of decoding large images

PixelReader = Callable[[Sequence[str]], Pixels]
"""Returns the pixels of files, uint8 (n, 3, height, width), without decoding them."""


def decode_cached(
    folder: Path,
    files: Sequence[str],
    size: tuple[int, int],
    cache: Path,
    progress: Progress,
    key: Path,
    read_pixels: PixelReader | None = None,
) -> tuple[Pixels, list[DecodeFailure]]:
    """Decode `files`, paths relative to `folder`, or read them from `cache`.

    The cache has one entry per image size and `key`, the folder or table of the dataset. An entry is decoded again if
    it is damaged, or if the name, size, modification time or order of the files changed. It is also decoded again if
    a file that failed can be decoded now, because changed permissions do not change the modification time. Decoding
    resumes after the last complete chunk of an unfinished entry. Other processes that need the same entry wait.

    Args:
        folder: the folder of the files.
        files: the files to decode.
        size: height and width of the images, in pixels.
        cache: the folder of all entries.
        progress: receives the number of decoded images.
        key: the folder or table.
        read_pixels: returns the pixels of files that are decoded already, instead of decoding them.

    Returns:
        The pixels of all files that can be decoded, uint8 (n, 3, height, width), in the order of `files`. They are
        memory-mapped and read-only if large (see `tinysight.data.pixels`). Then the failures. If the cache cannot
        be written, a notice is given and the pixels are held in memory.

    Raises:
        StorageError: the cache cannot be written and the pixels do not fit into memory.
    """
    source = _ImageFiles(folder, files, size, read_pixels)
    entry = cache / _sha256(key.resolve(), size).hex()
    try:
        with file_lock(entry / "lock", progress):
            return _load_entry(source, ChunkStore(entry, size), progress)
    except StorageError as error:
        if should_memmap(source.total_bytes):
            gigabytes = f"{source.total_bytes / 1e9:.1f} GB"
            raise StorageError(f"{error} The {len(files):,} images need {gigabytes}, too much for memory.") from error
        progress.note(f"The decoded images are not cached for the next run. {error}")
        if read_pixels is not None:
            return read_pixels(files), []
        return _drop_failed(*decode_images(source.paths(range(len(files))), size, progress))


@dataclass(frozen=True)
class _ImageFiles:
    """Image files to decode, divided into chunks."""

    folder: Path
    files: Sequence[str]
    size: tuple[int, int]
    read_pixels: PixelReader | None = None

    @property
    def total_bytes(self) -> int:
        """Size of the pixels in bytes, if all files can be decoded."""
        return len(self.files) * 3 * math.prod(self.size)

    @property
    def ranges(self) -> list[range]:
        """Indices of the files of each chunk."""
        indices = range(len(self.files))
        return [indices[start : start + FILES_PER_CHUNK] for start in indices[::FILES_PER_CHUNK]]

    @cached_property
    def chunks(self) -> list[Chunk]:
        """The chunks, with the state of the files at the first access."""
        return [Chunk(len(indices), self._state(indices)) for indices in self.ranges]

    def paths(self, indices: Sequence[int]) -> list[Path]:
        """Return the paths of some files. A million Path objects take too much memory to build at once."""
        return [self.folder / self.files[index] for index in indices]

    def decode(self, ranges: Sequence[range], progress: Progress) -> Generator[DecodedBatch]:
        """Yield the pixels and failures of each range of files."""
        if self.read_pixels is None:
            batches = (self.paths(indices) for indices in ranges)
            yield from decode_batches(batches, sum(map(len, ranges)), self.size, progress)
            return
        for indices in ranges:
            yield self.read_pixels([self.files[index] for index in indices]), []

    def _state(self, indices: range) -> bytes:
        names = [self.files[index] for index in indices]
        return _sha256(image_file.DECODER_VERSION, self.size, [(name, _stat(self.folder / name)) for name in names])


def _load_entry(source: _ImageFiles, store: ChunkStore, progress: Progress) -> tuple[Pixels, list[DecodeFailure]]:
    """Return the pixels and failures of a cache entry, after decoding the chunks that are missing from it."""
    kept = store.valid_chunks(source.chunks)
    failures = _retry_failures(source, kept)
    if failures is None or len(kept) < len(source.chunks) or not store.is_complete:
        if failures is None or store.is_complete:
            kept, failures = [], []
        store.truncate_to(source.chunks, kept)
        failures += _decode_remaining(source, store, len(kept), progress)
    return store.pixels(), failures


def _retry_failures(source: _ImageFiles, kept: Sequence[Sequence[int]]) -> list[DecodeFailure] | None:
    """Decode the failed files again. Return the failures, or None if one of the files can be decoded now."""
    failed = [indices[index] for indices, chunk in zip(source.ranges, kept, strict=False) for index in chunk]
    _, failures = decode_images(source.paths(failed), source.size)
    if len(failures) < len(failed):
        return None
    return [(index, message) for index, (_, message) in zip(failed, failures, strict=True)]


def _decode_remaining(source: _ImageFiles, store: ChunkStore, done: int, progress: Progress) -> list[DecodeFailure]:
    """Decode all chunks after the first `done`, append them to the entry, and return their failures."""
    ranges, failures = source.ranges[done:], list[DecodeFailure]()
    left = sum(map(len, ranges))
    _check_disk_space(store.folder, left * 3 * math.prod(source.size))
    if done:
        progress.note(f"Resuming: {len(source.files) - left:,} of {len(source.files):,} images are already decoded.")
    with closing(source.decode(ranges, progress)) as decoded:
        for indices, chunk, (pixels, failed) in zip(ranges, source.chunks[done:], decoded, strict=True):
            store.append(chunk, _drop_failed(pixels, failed)[0], [index for index, _ in failed])
            failures += [(indices[index], message) for index, message in failed]
    store.finalize()
    return failures


def _check_disk_space(folder: Path, needed: int) -> None:
    """Raise StorageError if fewer than `needed` bytes are free, before hours of decoding are lost."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{folder}: needs {needed / 1e9:.1f} GB, but the disk has {free / 1e9:.1f} GB free. Free some space, or "
            "set TINYSIGHT_CACHE_DIR to a folder on another disk."
        )


def _drop_failed(pixels: Pixels, failures: list[DecodeFailure]) -> tuple[Pixels, list[DecodeFailure]]:
    return np.delete(pixels, [index for index, _ in failures], axis=0) if failures else pixels, failures


def _sha256(*values: object) -> bytes:
    return hashlib.sha256("\0".join(map(repr, values)).encode()).digest()


def _stat(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # a dangling link; decoding reports it
        return -1, -1
    return status.st_size, status.st_mtime_ns
