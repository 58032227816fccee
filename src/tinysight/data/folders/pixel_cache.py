"""Decoded images kept between runs, as long as the files they came from stay as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinysight.data.dataset import Pixels
from tinysight.data.intake import reading
from tinysight.data.intake.decoding import Failure, decode
from tinysight.errors import StorageError
from tinysight.files import atomic_writer
from tinysight.progress import Progress

_DIGEST_SIZE = hashlib.sha256().digest_size


def decode_cached(
    folder: Path, files: Sequence[str], size: tuple[int, int], cache: Path, progress: Progress
) -> tuple[Pixels, list[Failure]]:
    """Decode `files`, paths relative to `folder`, or fetch them from `cache` if they were decoded before.

    A cache file holds the pixels, the positions of the files that could not be decoded (int64), and a SHA-256
    over both and over the state of the files (name, size, date). If anything differs, all is decoded anew and
    the cache file replaced: there is one for each folder and size. The same if a file that failed can be
    decoded now, since permissions can be mended without a trace in the file's date.

    Returns:
        What `decode` returns. A cache that cannot be written is noted and does no other harm.
    """
    paths = [folder / file for file in files]
    entry = cache / f"{_sha256(folder.resolve(), size).hex()}.pixels"
    state = _sha256(reading.VERSION, size, list(zip(files, map(_state, paths), strict=True)))
    kept = _read(entry, state, (len(files), 3, *size))
    if kept is not None:
        pixels, failed = kept
        _, again = decode([paths[index] for index in failed], size)
        if len(again) == len(failed):
            return pixels, [(index, message) for index, (_, message) in zip(failed, again, strict=True)]
    pixels, failures = decode(paths, size, progress)
    try:
        _write(entry, state, pixels, [index for index, _ in failures])
    except StorageError as error:
        progress.note(f"The decoded images are not kept for next time. {error}")
    return pixels, failures


def _sha256(*values: object) -> bytes:
    return hashlib.sha256("\0".join(map(repr, values)).encode()).digest()


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # a link to nowhere: decoding will say so
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _read(entry: Path, state: bytes, shape: tuple[int, ...]) -> tuple[Pixels, list[int]] | None:
    try:
        content = np.fromfile(entry, dtype=np.uint8)
    except OSError:
        return None
    body, digest = content[:-_DIGEST_SIZE], content[-_DIGEST_SIZE:]
    expected = hashlib.sha256(state)
    expected.update(body.data)
    if expected.digest() != digest.tobytes():
        return None
    length = int(np.prod(shape))
    return body[:length].reshape(shape), body[length:].view("<i8").tolist()


def _write(entry: Path, state: bytes, pixels: Pixels, failed: Sequence[int]) -> None:
    digest = hashlib.sha256(state)
    with atomic_writer(entry) as file:
        for part in (pixels.data, np.array(failed, dtype="<i8").data):
            digest.update(part)
            file.write(part)
        file.write(digest.digest())
