"""Where a study is written down: one file that any number of processes add lines to, killed ones included.

Optuna's own locks are files that a killed process leaves behind, so that all others wait for half a minute. This one
is the kernel's, and gone with its holder. Nor does half a line, which a killed process or a full disk leaves, stay to
spoil what is written after it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from tinysight.errors import RunError
from tinysight.files import storage_errors

_BLOCK = 65_536  # bytes that are looked through for the last whole line; lines are far shorter


def opened(path: Path) -> JournalStorage:
    """Return the storage in the file at `path`, which is made if it is not there.

    Raises:
        RunError: the file is no such journal.
        StorageError: it cannot be written.
    """
    with storage_errors(path):
        try:
            return JournalStorage(JournalFileBackend(str(path), lock_obj=_Lock(path)))
        except (ValueError, KeyError, AssertionError) as error:
            raise RunError(f"{path} is damaged; restore it from a copy or tune anew in another folder.") from error


class _Lock(JournalFileOpenLock):
    """The lock on the journal itself, as Optuna's backend takes one."""

    def __init__(self, path: Path) -> None:
        self._path, self._handle = path, -1

    def acquire(self) -> bool:
        """Wait for the lock, and cut off what another process left of half a line."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        _mend(self._handle)
        return True

    def release(self) -> None:
        """Let the others."""
        os.close(self._handle)


def _mend(handle: int) -> None:
    size = os.lseek(handle, 0, os.SEEK_END)
    start = max(0, size - _BLOCK)
    end = os.pread(handle, size - start, start)
    if not end.endswith(b"\n"):
        os.ftruncate(handle, start + end.rfind(b"\n") + 1)
