"""Decoded images kept between runs, as long as the files they came from stay as they are."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tinysight.data.cache import locked
from tinysight.data.folders.chunks import Chunk, ChunkFile
from tinysight.data.intake import reading
from tinysight.data.intake.batches import decode_batches
from tinysight.data.intake.decoding import Failure, decode
from tinysight.data.pixels import Pixels, large
from tinysight.errors import StorageError
from tinysight.progress import Progress

CHUNK = 1024  # files, after which nothing is lost to an interruption; a minute's worth of large photographs


def decode_cached(
    folder: Path, files: Sequence[str], size: tuple[int, int], cache: Path, progress: Progress
) -> tuple[Pixels, list[Failure]]:
    """Decode `files`, paths relative to `folder`, or fetch them from `cache` if they were decoded before.

    The cache has an entry for each folder and size. If the state of the files (name, size, date), their order or the
    entry itself is not what it was, all is decoded anew; an entry that was left unfinished is gone on with from there.
    The same if a file that failed can be decoded now, since permissions can be mended without a trace in its date.
    Other processes that want the same entry wait.

    Returns:
        The pixels of all files that can be decoded, uint8, (n, 3, height, width), in the order of `files`, mapped and
        read-only if they are many (see `tinysight.data.pixels`); and the failures. A cache that cannot be written is
        noted and does no other harm, unless the pixels are too many to be held in memory.

    Raises:
        StorageError: they are, and the cache cannot be written.
    """
    source = _Source(folder, files, size)
    entry = cache / _sha256(folder.resolve(), size).hex()
    try:
        with locked(entry / "lock", progress):
            return _from_entry(source, ChunkFile(entry, size), progress)
    except StorageError as error:
        if large(source.size_of_all):
            much = f"{source.size_of_all / 1e9:.1f} GB"
            raise StorageError(
                f"{error} The {len(files):,} images take {much}, too much to go on in memory."
            ) from error
        progress.note(f"The decoded images are not kept for next time. {error}")
        return _usable(*decode(source.paths(range(len(files))), size, progress))


@dataclass(frozen=True)
class _Source:
    """The files that pixels come from, chunk by chunk."""

    folder: Path
    files: Sequence[str]
    size: tuple[int, int]

    @property
    def size_of_all(self) -> int:
        """How many bytes their pixels take, if all can be decoded."""
        return len(self.files) * 3 * math.prod(self.size)

    @property
    def ranges(self) -> list[range]:
        """The positions of the files of each chunk."""
        positions = range(len(self.files))
        return [positions[start : start + CHUNK] for start in positions[::CHUNK]]

    @cached_property
    def chunks(self) -> list[Chunk]:
        """The chunks, in the state that their files are in when this is first asked for."""
        return [Chunk(len(where), self._state(where)) for where in self.ranges]

    def paths(self, positions: Sequence[int]) -> list[Path]:
        """Return the paths of some files. Not of all of a million at once: they take more memory than a name."""
        return [self.folder / self.files[index] for index in positions]

    def _state(self, where: range) -> bytes:
        names = [self.files[index] for index in where]
        return _sha256(reading.VERSION, self.size, [(name, _stat(f"{self.folder}{os.sep}{name}")) for name in names])


def _from_entry(source: _Source, store: ChunkFile, progress: Progress) -> tuple[Pixels, list[Failure]]:
    """Return the pixels of an entry and what failed, after decoding what is not in it."""
    kept = store.intact(source.chunks)
    failures = _still_failing(source, kept)
    if failures is None or len(kept) < len(source.chunks) or not store.finished:
        if failures is None or store.finished:
            kept, failures = [], []
        store.cut(source.chunks, kept)
        failures += _go_on(source, store, len(kept), progress)
    return store.pixels(), failures


def _still_failing(source: _Source, kept: Sequence[Sequence[int]]) -> list[Failure] | None:
    """Return what is wrong with the files that failed, or None if one of them does not fail any more."""
    failed = [where[index] for where, indices in zip(source.ranges, kept, strict=False) for index in indices]
    _, again = decode(source.paths(failed), source.size)
    if len(again) < len(failed):
        return None
    return [(index, message) for index, (_, message) in zip(failed, again, strict=True)]


def _go_on(source: _Source, store: ChunkFile, done: int, progress: Progress) -> list[Failure]:
    """Decode the chunks behind the first `done`, put them into the entry, and return what failed among them."""
    ranges, failures = source.ranges[done:], list[Failure]()
    left = sum(map(len, ranges))
    _require_room(store.folder, left * 3 * math.prod(source.size))
    if done:
        progress.note(f"{len(source.files) - left:,} of {len(source.files):,} images were decoded before; going on.")
    batches = (source.paths(where) for where in ranges)
    with closing(decode_batches(batches, left, source.size, progress)) as decoded:
        for where, chunk, (pixels, failed) in zip(ranges, source.chunks[done:], decoded, strict=True):
            store.append(chunk, _usable(pixels, failed)[0], [index for index, _ in failed])
            failures += [(where[index], message) for index, message in failed]
    store.finish()
    return failures


def _require_room(folder: Path, needed: int) -> None:
    """Refuse at the beginning what would fail at the end, perhaps hours later."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{folder} needs {needed / 1e9:.1f} GB, but its disk has {free / 1e9:.1f} GB left; make room, or set "
            "TINYSIGHT_CACHE_DIR to a folder on another disk."
        )


def _usable(pixels: Pixels, failures: list[Failure]) -> tuple[Pixels, list[Failure]]:
    return np.delete(pixels, [index for index, _ in failures], axis=0) if failures else pixels, failures


def _sha256(*values: object) -> bytes:
    return hashlib.sha256("\0".join(map(repr, values)).encode()).digest()


def _stat(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:  # a link to nowhere: decoding will say so
        return -1, -1
    return status.st_size, status.st_mtime_ns
