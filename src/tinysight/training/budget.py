"""Time budget: the progress of training, counted in steps or in seconds."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace

EXIT_SECONDS = 1.0  # seconds to start Python, write the last files and exit


@dataclass
class TimeBudget:
    """Progress of training, summed over its sessions.

    Attributes:
        steps: number of steps, if there is no time limit.
        limit_seconds: time limit in seconds, or None.
        max_steps: number of steps that end the training even if time is left, or None.
        previous_seconds: seconds used by earlier sessions.
        reserved_seconds: seconds of the limit reserved for the work after the last step.
        validation_seconds: duration of the last validation in seconds; 0 before the first one.
    """

    steps: int
    limit_seconds: float | None = None
    max_steps: int | None = None
    previous_seconds: float = 0.0
    reserved_seconds: float = 0.0
    validation_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._start, self._progress = time.perf_counter(), 0.0

    def state(self) -> dict[str, float | None]:
        """Return the state needed to resume."""
        state = asdict(replace(self, previous_seconds=self.elapsed_seconds()))
        del state["steps"], state["max_steps"]
        return state

    def elapsed_seconds(self) -> float:
        """Return the seconds used so far, over all sessions."""
        return self.previous_seconds + time.perf_counter() - self._start

    def progress(self, steps_done: int) -> float:
        """Return the fraction of the training that is done, 0..1."""
        if self.limit_seconds is None:
            return min(1.0, steps_done / self.steps)
        elapsed = min(1.0, self.elapsed_seconds() / max(1e-9, self.limit_seconds - self.reserved_seconds))
        by_steps = 0.0 if self.max_steps is None else min(1.0, steps_done / self.max_steps)
        # Schedules never go back when `reserved_seconds` shrinks.
        self._progress = max(self._progress, elapsed, by_steps)
        return self._progress

    def record_validation(self, seconds: float) -> None:
        """Record the duration of a validation and scale `reserved_seconds` with it."""
        if self.validation_seconds:
            self.reserved_seconds *= seconds / self.validation_seconds
        self.validation_seconds = seconds
