"""The cache directory for downloads and decoded images, and file locks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from tinysight._util.files import storage_errors
from tinysight._util.progress import Progress


def cache_folder() -> Path:
    """Return TINYSIGHT_CACHE_DIR if it is set, else the user cache directory of the operating system."""
    chosen = os.environ.get("TINYSIGHT_CACHE_DIR")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("tinysight"))


@contextmanager
def file_lock(path: Path, progress: Progress) -> Iterator[None]:
    """Hold an exclusive lock on the file `path` for the length of the block.

    If another process holds the lock, this reports it to `progress` and waits. The operating system releases
    the lock when the process ends, even after a crash. The file is never removed: a third process could then
    lock a new file of the same name while the second one still waits on the old file.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with storage_errors(path):
            _lock(descriptor, path, progress)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, progress: Progress) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        progress.note(f"Waiting for another process to release {path}.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
