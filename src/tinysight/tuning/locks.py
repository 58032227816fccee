"""Whether somebody holds a lock of `tinysight.data.cache.locked`, which is gone with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock file at `path`."""
    try:
        handle = os.open(path, os.O_RDWR)  # of a network's file system only writers may lock
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
