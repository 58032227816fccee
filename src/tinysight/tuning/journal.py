"""Crash-safe storage of an Optuna study: one append-only file for all processes.

Optuna's own lock files outlive a killed process and block the others for half a minute. The operating system releases
the locks used here. An incomplete last line, left by a killed process or a full disk, is removed before the next write.
"""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from tinysight._util.errors import RunError
from tinysight._util.files import storage_errors
from tinysight._util.locks import POLL_SECONDS

_TAIL_BYTES = 65_536  # searched for the last complete line; lines are far shorter
# What Optuna raises for lines that are not JSON, or JSON of a different shape.
_DAMAGE = (ValueError, TypeError, AttributeError, LookupError, AssertionError, RecursionError)


def open_journal(path: Path) -> JournalStorage:
    """Open the journal at `path`; create it if it is missing.

    Raises:
        RunError: the file is not a journal.
        StorageError: it cannot be written.
    """
    with storage_errors(path):
        try:
            return JournalStorage(JournalFileBackend(str(path), lock_obj=_JournalLock(path)))
        except _DAMAGE as error:
            raise RunError(f"{path}: is damaged. Restore it from a backup or tune in another directory.") from error


class _JournalLock(JournalFileOpenLock):
    """Lock file beside the journal, with the interface of Optuna's lock files."""

    def __init__(self, journal: Path) -> None:
        self._journal, self._lock = journal, FileLock(f"{journal}.lock")

    def acquire(self) -> bool:
        """Wait for the lock and remove an incomplete last line."""
        self._lock.acquire(poll_interval=POLL_SECONDS)
        try:
            _truncate_to_last_line(self._journal)
        except BaseException:
            self._lock.release()
            raise
        return True

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


def _truncate_to_last_line(journal: Path) -> None:
    with journal.open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
        if not tail.endswith(b"\n"):
            file.truncate(start + tail.rfind(b"\n") + 1)
