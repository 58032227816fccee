"""Locks between processes; the operating system releases them when their process ends, even after a crash.

A lock is a file. It is not removed on POSIX systems: a third process could then lock a new file of the same name while
a second one waits for the old file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tinysight._util.errors import TinysightError
from tinysight._util.files import make_dir, storage_errors
from tinysight._util.progress import SILENT, Progress

POLL_SECONDS = 0.02
"""Seconds between two attempts to take a lock."""


@contextmanager
def file_lock(path: Path, progress: Progress = SILENT) -> Iterator[None]:
    """Hold the lock file `path` inside the block; wait if another process holds it, and report that to `progress`.

    Raises:
        StorageError: the file cannot be created.
    """
    lock = _open(path)
    with storage_errors(path):
        if not _try(lock):
            progress.note(f"Waiting for another process to release {path}.")
            lock.acquire(poll_interval=POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def exclusive_lock(path: Path, error: TinysightError) -> Iterator[None]:
    """Hold the lock file `path` inside the block, or raise `error` if another process holds it.

    Raises:
        StorageError: the file cannot be created.
    """
    lock = _open(path)
    with storage_errors(path):
        locked = _try(lock)
    if not locked:
        raise error
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock file `path`; False if there is no such file."""
    if not path.exists():
        return False
    lock = _open(path)
    with storage_errors(path):
        locked = _try(lock)
    if locked:
        lock.release()
    return not locked


def _open(path: Path) -> FileLock:
    with storage_errors(path):
        make_dir(path.parent)
    return FileLock(path, thread_local=False)


def _try(lock: FileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True
