"""Ctrl-C as a polite request: the step in hand is finished and the work is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether somebody has asked to stop."""

    asked = False

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Take the first Ctrl-C as a request; a second one is the usual KeyboardInterrupt."""
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def listening() -> Iterator[Interruption]:
    """Listen for Ctrl-C (SIGINT) and for the polite kill (SIGTERM) inside the block.

    Signals reach the main thread only; in any other, nothing is listened for.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, interruption.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
