"""Append-only file of decoded images with a journal of chunk checksums."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinysight._util.files import make_dir, storage_errors, sync_dir
from tinysight._util.platform import replace
from tinysight.data.pixels import Pixels, open_pixels


@dataclass(frozen=True)
class Chunk:
    """Image files that are decoded together.

    Attributes:
        n_files: number of files.
        state_digest: digest of everything that determines their pixels.
    """

    n_files: int
    state_digest: bytes


class ChunkStore:
    """Pixels of the files that could be decoded, concatenated, in a folder of their own.

    The journal has one line per chunk, in order: the files that failed, and a checksum. The checksum is the SHA-256
    of the chunk's state digest, its failures and its pixels. A chunk whose checksum does not match is discarded, so
    no write needs to be synced before the end. The pixel file gets its final name when all chunks are in it. It is
    never modified after that, because other processes may have mapped it.
    """

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self.folder, self.size = folder, size
        self._final, self._draft, self._journal = folder / "pixels", folder / "pixels.part", folder / "journal"
        self._image_bytes = 3 * math.prod(size)

    @property
    def is_complete(self) -> bool:
        """Whether `finalize` was called, in this process or an earlier one."""
        return self._final.exists()

    def valid_chunks(self, chunks: Sequence[Chunk]) -> list[list[int]]:
        """Return the failed files of each leading chunk whose checksum matches.

        A finished file that holds more than `chunks` has no valid chunk.
        """
        valid: list[list[int]] = []
        try:
            with (
                (self._final if self.is_complete else self._draft).open("rb") as pixels,
                self._journal.open("rb") as lines,
            ):
                for chunk, line in zip(chunks, lines, strict=False):
                    if not line.endswith(b"\n"):
                        break  # cut short by one byte: an entry appended to it would share its line
                    failed, checksum = _parse_entry(line)
                    content = pixels.read(max(0, chunk.n_files - len(failed)) * self._image_bytes)
                    if checksum != _checksum(chunk.state_digest, failed, content):
                        break
                    valid.append(failed)
                has_more = bool(pixels.read(1))
        except (OSError, ValueError):
            return valid
        return [] if self.is_complete and has_more else valid

    def truncate_to(self, chunks: Sequence[Chunk], valid: Sequence[list[int]]) -> None:
        """Remove all chunks after the first `len(valid)`; of a finished file, remove everything.

        Args:
            chunks: all chunks.
            valid: the failed files of each chunk to keep, as `valid_chunks` returns them.

        Raises:
            StorageError: the folder cannot be written to.
        """
        with storage_errors(self.folder):
            make_dir(self.folder)
            if self.is_complete or not valid:
                # Another process may have mapped the file. Unlinking leaves that mapping valid; Windows refuses it.
                for path in (self._final, self._draft, self._journal):
                    path.unlink(missing_ok=True)
                return
            images = sum(chunk.n_files - len(failed) for chunk, failed in zip(chunks, valid, strict=False))
            os.truncate(self._draft, images * self._image_bytes)
            with self._journal.open("r+b") as journal:
                for _ in valid:
                    journal.readline()
                journal.truncate()

    def append(self, chunk: Chunk, pixels: Pixels, failed: Sequence[int]) -> None:
        """Append the pixels of a chunk and the indices of its files that failed.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        with storage_errors(self._draft):
            with self._draft.open("ab") as file:
                file.write(pixels.data)
            entry = {"failed": list(failed), "checksum": _checksum(chunk.state_digest, failed, pixels.data)}
            with self._journal.open("ab") as file:
                file.write(json.dumps(entry).encode() + b"\n")

    def finalize(self) -> None:
        """Sync the files to disk and give the pixel file its final name.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        with storage_errors(self._final):
            for path in (self._journal, self._draft):
                with path.open("ab") as file:
                    os.fsync(file.fileno())
            replace(self._draft, self._final)
            sync_dir(self.folder)

    def pixels(self) -> Pixels:
        """Return the pixels of a finished file, uint8 (n, 3, height, width); memory-mapped if large."""
        with storage_errors(self._final):
            count = self._final.stat().st_size // self._image_bytes
            return open_pixels(self._final, (count, 3, *self.size))


def _parse_entry(line: bytes) -> tuple[list[int], str]:
    """Return the failed files and the checksum of a journal line. Raises ValueError if it is malformed."""
    entry = json.loads(line)
    if not (isinstance(entry, dict) and isinstance(entry.get("failed"), list)):
        raise ValueError
    return entry["failed"], entry.get("checksum", "")


def _checksum(state: bytes, failed: Sequence[int], content: bytes | memoryview) -> str:
    digest = hashlib.sha256(state + json.dumps(list(failed)).encode())
    digest.update(content)
    return digest.hexdigest()
