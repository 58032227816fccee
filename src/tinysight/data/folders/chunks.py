"""Decoded images in one file that grows chunk by chunk, and a journal beside it that says which chunks are whole."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinysight.data.pixels import Pixels, open_pixels
from tinysight.files import make_folder, storage_errors, sync_folder


@dataclass(frozen=True)
class Chunk:
    """Image files that are decoded together.

    Attributes:
        files: how many they are.
        state: a digest over all that their pixels follow from.
    """

    files: int
    state: bytes


class ChunkFile:
    """The pixels of those files that could be decoded, one after the other, in a folder of their own.

    The journal has a line for each chunk, in order: which of its files failed, and a seal, a SHA-256 over that, its
    state and its pixels. Nothing else is believed, so nothing need be on disk before the end: what power loss or a kill
    left of a chunk does not fit its seal. The file has its name only when all chunks are in it, and is never changed
    after that: others may have mapped it.
    """

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self.folder, self.size = folder, size
        self._whole, self._draft, self._journal = folder / "pixels", folder / "pixels.part", folder / "journal"
        self._image = 3 * math.prod(size)

    @property
    def finished(self) -> bool:
        """Whether all chunks were put into it once."""
        return self._whole.exists()

    def intact(self, chunks: Sequence[Chunk]) -> list[list[int]]:
        """Return, for the first so many of these chunks that are in it and unharmed, which files failed.

        Of a finished file that has more in it than these chunks none is taken for unharmed.
        """
        kept: list[list[int]] = []
        try:
            with (
                (self._whole if self.finished else self._draft).open("rb") as pixels,
                self._journal.open("rb") as lines,
            ):
                for chunk, line in zip(chunks, lines, strict=False):
                    failed, seal = _entry(line)
                    content = pixels.read(max(0, chunk.files - len(failed)) * self._image)
                    if seal != _seal(chunk.state, failed, content):
                        break
                    kept.append(failed)
                more = bool(pixels.read(1))
        except (OSError, ValueError):
            return kept
        return [] if self.finished and more else kept

    def cut(self, chunks: Sequence[Chunk], kept: Sequence[list[int]]) -> None:
        """Take away all behind the first chunks, whose failed files are `kept`; of a finished file, everything.

        Raises:
            StorageError: the folder cannot be written to.
        """
        with storage_errors(self.folder):
            make_folder(self.folder)
            if self.finished or not kept:
                # Another process may have mapped the file: it keeps its own, without a name.
                for path in (self._whole, self._draft, self._journal):
                    path.unlink(missing_ok=True)
                return
            images = sum(chunk.files - len(failed) for chunk, failed in zip(chunks, kept, strict=False))
            os.truncate(self._draft, images * self._image)
            with self._journal.open("r+b") as journal:
                for _ in kept:
                    journal.readline()
                journal.truncate()

    def append(self, chunk: Chunk, pixels: Pixels, failed: Sequence[int]) -> None:
        """Add the pixels of a chunk, and which of its files failed.

        Raises:
            StorageError: the disk is full, read-only or otherwise unwilling.
        """
        with storage_errors(self._draft):
            with self._draft.open("ab") as file:
                file.write(pixels.data)
            entry = {"failed": list(failed), "seal": _seal(chunk.state, failed, pixels.data)}
            with self._journal.open("ab") as file:
                file.write(json.dumps(entry).encode() + b"\n")

    def finish(self) -> None:
        """Say that all chunks are in it, and see that they stay. Raises StorageError as `append` does."""
        with storage_errors(self._whole):
            for path in (self._journal, self._draft):
                with path.open("ab") as file:
                    os.fsync(file.fileno())
            self._draft.rename(self._whole)
            sync_folder(self.folder)

    def pixels(self) -> Pixels:
        """Return the pixels of a finished file, uint8 (n, 3, height, width); mapped if they are many."""
        with storage_errors(self._whole):
            count = self._whole.stat().st_size // self._image
            return open_pixels(self._whole, (count, 3, *self.size))


def _entry(line: bytes) -> tuple[list[int], str]:
    """Return what a line of the journal says, or raise ValueError."""
    entry = json.loads(line)
    if not (isinstance(entry, dict) and isinstance(entry.get("failed"), list)):
        raise ValueError
    return entry["failed"], entry.get("seal", "")


def _seal(state: bytes, failed: Sequence[int], content: bytes | memoryview) -> str:
    seal = hashlib.sha256(state + json.dumps(list(failed)).encode())
    seal.update(content)
    return seal.hexdigest()
