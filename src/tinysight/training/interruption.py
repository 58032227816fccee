"""Ctrl-C as a polite request: the step in hand is finished and the work is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether somebody has asked to stop, and what else is to be done then."""

    def __init__(self, then: Callable[[], None] | None = None) -> None:
        self.asked, self.then = False, then

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Take the first Ctrl-C as a request; a second one is the usual KeyboardInterrupt."""
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.then:
            self.then()


@contextmanager
def listening(then: Callable[[], None] | None = None) -> Iterator[Interruption]:
    """Listen for Ctrl-C (SIGINT) and for the polite kill (SIGTERM) inside the block, and do `then` when one comes.

    Signals reach the main thread only; in any other, nothing is listened for.
    """
    interruption = Interruption(then)
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, interruption.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
