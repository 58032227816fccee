"""Main memory: what to do when there is too little of it, and how not to wait for it when there is enough."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager

from tinysight.errors import TinysightError

# The names of mallopt's parameters, from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

_FULL = ("allocate memory", "out of memory")


@contextmanager
def enough_memory(advice: str, kind: type[TinysightError] = TinysightError) -> Iterator[None]:
    """Turn a failed allocation in the block into an error of `kind` that ends with `advice`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has no error class of its own for main memory, only these words; the others are those of a card.
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in _FULL):
            raise
        raise kind(f"There is not enough memory for this; {advice}.") from error


@functools.cache
def keep_freed_memory() -> None:
    """Ask the C library to keep what this process has freed; where it is not glibc, do nothing.

    glibc hands large blocks back to the system as soon as they are free and asks for new ones right after, and
    each new page is first filled with zeros. For tensors that live for a millisecond that costs more than computing
    them: augmentation alone is five times as fast without it (docs/experiments.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        _ = mallopt(_MMAP_THRESHOLD, 2**30) or mallopt(_MMAP_THRESHOLD, 2**25)  # older versions refuse the first
