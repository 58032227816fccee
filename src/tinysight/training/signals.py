"""Graceful stop on Ctrl-C or SIGTERM: finish the current step and save."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tinysight._util.platform import stop_signals


class StopRequest:
    """A request to stop, and a callback for when it arrives.

    Attributes:
        requested: whether a stop was requested.
        callback: called once per request.
    """

    def __init__(self, callback: Callable[[], None] | None = None) -> None:
        self.requested, self.callback = False, callback

    def handle_signal(self, signum: int, frame: FrameType | None) -> None:
        """Request a stop; the next Ctrl-C raises KeyboardInterrupt as usual."""
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.callback:
            self.callback()


@contextmanager
def catch_signals(callback: Callable[[], None] | None = None) -> Iterator[StopRequest]:
    """Turn the stop signals, such as Ctrl-C, into a stop request inside the block, and call `callback` on each.

    Python handles signals in the main thread only; in other threads this does nothing.
    """
    interruption = StopRequest(callback)
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    previous = {number: signal.signal(number, interruption.handle_signal) for number in stop_signals()}
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
