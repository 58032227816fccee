"""Crash-safe storage of an Optuna study: one append-only file for all processes.

Optuna's own lock files outlive a killed process and block the others for half a minute. `flock` is released by the
kernel. An incomplete last line, left by a killed process or a full disk, is removed before the next write.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from tinysight._util.errors import RunError
from tinysight._util.files import storage_errors

_TAIL_BYTES = 65_536  # searched for the last complete line; lines are far shorter


def open_journal(path: Path) -> JournalStorage:
    """Open the journal at `path`; create it if it is missing.

    Raises:
        RunError: the file is not a journal.
        StorageError: it cannot be written.
    """
    with storage_errors(path):
        try:
            return JournalStorage(JournalFileBackend(str(path), lock_obj=_JournalLock(path)))
        except (ValueError, KeyError, AssertionError) as error:
            raise RunError(f"{path}: is damaged. Restore it from a backup or tune in another directory.") from error


class _JournalLock(JournalFileOpenLock):
    """Lock on the journal itself, with the interface of Optuna's lock files."""

    def __init__(self, path: Path) -> None:
        self._path, self._handle = path, -1

    def acquire(self) -> bool:
        """Wait for the lock and remove an incomplete last line."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        _truncate_to_last_line(self._handle)
        return True

    def release(self) -> None:
        """Release the lock."""
        os.close(self._handle)


def _truncate_to_last_line(handle: int) -> None:
    size = os.lseek(handle, 0, os.SEEK_END)
    start = max(0, size - _TAIL_BYTES)
    tail = os.pread(handle, size - start, start)
    if not tail.endswith(b"\n"):
        os.ftruncate(handle, start + tail.rfind(b"\n") + 1)


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock file at `path`."""
    try:
        handle = os.open(path, os.O_RDWR)  # network file systems allow an exclusive lock only on writable files
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
