"""Thread-safe suppression of Pillow's warnings."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_active_blocks = 0
_saved_filters = warnings.catch_warnings()


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore warnings from Pillow's own modules until the block ends.

    `warnings.catch_warnings` alone is not thread-safe, because filters belong to the whole process: overlapping
    blocks could restore the wrong filters for good. So the first thread that enters saves the filters, and the
    last one that leaves restores them.
    """
    global _active_blocks, _saved_filters
    with _lock:
        if _active_blocks == 0:
            _saved_filters = warnings.catch_warnings()
            _saved_filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b")
        _active_blocks += 1
    try:
        yield
    finally:
        with _lock:
            _active_blocks -= 1
            if _active_blocks == 0:
                _saved_filters.__exit__(None, None, None)
