"""Memory allocation: out-of-memory errors and tuning of malloc."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from tinysight._util import platform
from tinysight._util.errors import TinysightError

# Parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

_OUT_OF_MEMORY = ("allocate memory", "out of memory")


@contextmanager
def translate_oom(advice: str, error_class: type[TinysightError] = TinysightError) -> Iterator[None]:
    """Convert a failed allocation in the block into an error of class `error_class` that ends with `advice`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch raises a RuntimeError with one of these messages, on the CPU and on the GPU.
        if isinstance(error, RuntimeError) and not any(message in str(error) for message in _OUT_OF_MEMORY):
            raise
        raise error_class(f"There is not enough memory: {advice}.") from error


@functools.cache
def tune_malloc() -> None:
    """Keep freed memory in the process (glibc only; a no-op elsewhere).

    By default glibc returns large blocks to the system at once, and the kernel zeroes each new page. For short-lived
    tensors this takes longer than their computation: augmentation is five times as fast without it
    (docs/experiments/augmentation-memory-allocation.md).
    """
    mallopt = platform.mallopt()
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        _ = mallopt(_MMAP_THRESHOLD, 2**30) or mallopt(_MMAP_THRESHOLD, 2**25)  # older versions reject 2**30
