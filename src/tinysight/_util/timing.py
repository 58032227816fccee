"""Deadlines and stopwatches on the monotonic clock of the process."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Self


@dataclass(frozen=True)
class Deadline:
    """Start of some work and the seconds that it may take; by default it starts now and has no limit.

    Attributes:
        start: start of the work, by `time.perf_counter` of this process.
        seconds: seconds from `start` to the deadline; infinity is no limit.
    """

    start: float = field(default_factory=lambda: time.perf_counter())
    seconds: float = math.inf

    @classmethod
    def after(cls, minutes: float | None, start: float | None = None) -> Self:
        """Return the deadline `minutes` after `start` (`time.perf_counter`; now by default); None is no limit."""
        begin = time.perf_counter() if start is None else start
        return cls(begin, math.inf if minutes is None else 60 * minutes)

    @classmethod
    def at_wall_time(cls, end: float) -> Self:
        """Return the deadline at `end` (`time.time`, which other processes and machines share), starting now."""
        return cls(seconds=end - time.time())

    @property
    def has_limit(self) -> bool:
        """Whether the time is limited."""
        return self.seconds < math.inf

    @property
    def wall_end(self) -> float:
        """The deadline by `time.time`."""
        return time.time() + self.remaining()

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self.start

    def remaining(self) -> float:
        """Return the seconds left; negative after the deadline."""
        return self.seconds - self.elapsed()

    def allows(self, seconds: float) -> bool:
        """Return whether work of `seconds` that starts now ends in time."""
        return seconds <= self.remaining()

    @property
    def passed(self) -> bool:
        """Whether the deadline is over."""
        return self.remaining() < 0

    def earlier(self, seconds: float) -> Self:
        """Return the deadline moved forward by `seconds`, which are kept for other work."""
        return replace(self, seconds=self.seconds - seconds)

    def part(self, fraction: float) -> Self:
        """Return the deadline of the first `fraction`, 0..1, of the time."""
        return replace(self, seconds=fraction * self.seconds)


def perf_counter_at(wall_time: float) -> float:
    """Return the value of `time.perf_counter` in this process at `wall_time` (`time.time`)."""
    return time.perf_counter() - (time.time() - wall_time)


class Stopwatch:
    """Total seconds and seconds of named laps, summed over sessions.

    Attributes:
        laps: total seconds of each lap, by name.
        latest: seconds of the latest lap, by name.
    """

    def __init__(self) -> None:
        """Start now."""
        self._start = self._session_start = time.perf_counter()
        self.laps: dict[str, float] = {}
        self.latest: dict[str, float] = {}
        self._ends: dict[str, float] = {}

    def add(self, total: float, **laps: float) -> None:
        """Add the seconds of earlier sessions."""
        self._start -= total
        for name, seconds in laps.items():
            self.laps[name] = self.laps.get(name, 0.0) + seconds

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Measure the block as a lap, unless it raises an error."""
        start = time.perf_counter()
        yield
        self._ends[name] = time.perf_counter()
        self.latest[name] = self._ends[name] - start
        self.laps[name] = self.laps.get(name, 0.0) + self.latest[name]

    def total(self, without: str | None = None) -> float:
        """Return the seconds so far, minus those of the lap `without`."""
        return time.perf_counter() - self._start - (self.laps.get(without, 0.0) if without else 0.0)

    def since(self, name: str) -> float:
        """Return the seconds since the latest lap `name` of this session ended, or since the session started."""
        return time.perf_counter() - self._ends.get(name, self._session_start)

    def state(self) -> dict[str, float]:
        """Return the seconds to give to `add` in a later session."""
        return {"total": self.total(), **self.laps}
