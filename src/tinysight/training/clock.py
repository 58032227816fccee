"""How far a training has come: by its steps, or by the time that it was given."""

from __future__ import annotations

import time

ENDING = 1.0  # seconds that starting Python, writing the last files and leaving Python take


class Clock:
    """Measures a training over all its sittings.

    Attributes:
        steps: how many it takes, if no time was given.
        limit: the seconds that it was given, or None.
        before: the seconds of earlier sittings.
        closing: the seconds of the limit that what follows the last step is likely to take.
        look: how long the last look at the validation images took, in seconds; 0 if there was none.
    """

    def __init__(
        self, steps: int, limit: float | None = None, before: float = 0.0, closing: float = 0.0, look: float = 0.0
    ) -> None:
        self.steps, self.limit, self.before, self.closing, self.look = steps, limit, before, closing, look
        self._start, self._reached = time.perf_counter(), 0.0

    def state(self) -> dict[str, float | None]:
        """Return with what another clock goes on from here."""
        return {"limit": self.limit, "before": self.seconds(), "closing": self.closing, "look": self.look}

    def seconds(self) -> float:
        """Return the seconds since the beginning, sittings put together."""
        return self.before + time.perf_counter() - self._start

    def progress(self, steps_done: int) -> float:
        """Return how much of the training is done, 0..1."""
        if self.limit is None:
            return min(1.0, steps_done / self.steps)
        reached = min(1.0, self.seconds() / max(1e-9, self.limit - self.closing))
        self._reached = max(self._reached, reached)  # schedules do not go back when `closing` shrinks
        return self._reached

    def looked(self, seconds: float) -> None:
        """Learn from one look at the validation images how long those after the last step will take."""
        if self.look:
            self.closing *= seconds / self.look
        self.look = seconds
