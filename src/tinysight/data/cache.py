"""Where downloaded and decoded images are kept, and how two processes share that place."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from tinysight.files import storage_errors
from tinysight.progress import Progress


def cache_folder() -> Path:
    """Return the cache folder: TINYSIGHT_CACHE_DIR if set, else the one the operating system provides."""
    chosen = os.environ.get("TINYSIGHT_CACHE_DIR")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("tinysight"))


@contextmanager
def locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock file `path` for the length of the block; other processes wait for it, and say so.

    The operating system lets go of the lock when the process ends, however it ends. The file stays:
    removing it would let a third process lock a new file of that name beside one that still waits.
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
