"""Freed memory stays with the process, so that the next tensor is made of pages that are there already.

The C library of Linux (glibc) hands large blocks back to the system as soon as they are free and asks for new
ones right after, and each new page is first filled with zeros. For tensors that live for a millisecond that costs
more than computing them: augmentation alone is five times as fast without it (docs/experiments.md).
"""

from __future__ import annotations

import ctypes
import functools

# The names of mallopt's parameters, from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


@functools.cache
def keep_freed_memory() -> None:
    """Ask the C library to keep what this process has freed; where it is not glibc, do nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        _ = mallopt(_MMAP_THRESHOLD, 2**30) or mallopt(_MMAP_THRESHOLD, 2**25)  # older versions refuse the first
