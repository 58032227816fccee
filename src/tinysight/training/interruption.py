"""Graceful stop on Ctrl-C or SIGTERM: finish the current step and save."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """A request to stop, and a callback for when it arrives.

    Attributes:
        asked: whether a stop was requested.
        then: called once per request.
    """

    def __init__(self, then: Callable[[], None] | None = None) -> None:
        self.asked, self.then = False, then

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Request a stop; the next Ctrl-C raises KeyboardInterrupt as usual."""
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.then:
            self.then()


@contextmanager
def listening(then: Callable[[], None] | None = None) -> Iterator[Interruption]:
    """Turn SIGINT (Ctrl-C) and SIGTERM into a stop request inside the block, and call `then` on each.

    Python handles signals in the main thread only; in other threads this does nothing.
    """
    interruption = Interruption(then)
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    previous = {number: signal.signal(number, interruption.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
