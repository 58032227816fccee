"""Time budget: the progress of a training, counted in steps or in seconds."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace

ENDING = 1.0  # seconds to start Python, write the last files and exit


@dataclass
class Clock:
    """Progress of a training, summed over its sessions.

    Attributes:
        steps: number of steps, if there is no time limit.
        limit: time limit in seconds, or None.
        before: seconds used by earlier sessions.
        closing: seconds of the limit reserved for the work after the last step.
        look: duration of the last validation in seconds; 0 before the first one.
    """

    steps: int
    limit: float | None = None
    before: float = 0.0
    closing: float = 0.0
    look: float = 0.0

    def __post_init__(self) -> None:
        self._start, self._progress = time.perf_counter(), 0.0

    def state(self) -> dict[str, float | None]:
        """Return the state needed to resume."""
        state = asdict(replace(self, before=self.seconds()))
        del state["steps"]
        return state

    def seconds(self) -> float:
        """Return the seconds used so far, over all sessions."""
        return self.before + time.perf_counter() - self._start

    def progress(self, steps_done: int) -> float:
        """Return the fraction of the training that is done, 0..1."""
        if self.limit is None:
            return min(1.0, steps_done / self.steps)
        elapsed = min(1.0, self.seconds() / max(1e-9, self.limit - self.closing))
        self._progress = max(self._progress, elapsed)  # schedules never go back when `closing` shrinks
        return self._progress

    def looked(self, seconds: float) -> None:
        """Record the duration of a validation and scale `closing` with it."""
        if self.look:
            self.closing *= seconds / self.look
        self.look = seconds
