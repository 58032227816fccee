"""Lock test: whether a process holds a lock file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


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
