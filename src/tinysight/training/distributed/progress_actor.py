"""Progress, errors and stop requests between the workers and the driver of a training on Ray.

Ray imports this file in the actor's process, so it imports neither torch nor Ray, which would take seconds.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tinysight._util.errors import TinysightError

ProgressCall = tuple[str, tuple[Any, ...], dict[str, float]]
"""Name of a Progress method, its positional and its keyword arguments."""

_POLL_SECONDS = 0.5  # longest wait of `next_calls`


class ProgressActor:
    """Message board of one training, created by the driver."""

    def __init__(self) -> None:
        self._stop, self._has_calls = asyncio.Event(), asyncio.Event()
        self._calls: list[ProgressCall] = []
        self._errors: list[TinysightError] = []

    async def request_stop(self) -> None:
        """Request that the workers stop."""
        self._stop.set()

    async def wait_for_stop(self) -> bool:
        """Wait for a stop request."""
        return await self._stop.wait()

    async def add_error(self, error: TinysightError) -> None:
        """Record the error of a worker."""
        self._errors.append(error)

    async def errors(self) -> list[TinysightError]:
        """Return the errors of the workers, oldest first."""
        return self._errors

    async def add_call(self, call: ProgressCall) -> None:
        """Record a call of a Progress method."""
        self._calls.append(call)
        self._has_calls.set()

    async def next_calls(self) -> list[ProgressCall]:
        """Return the new progress calls; wait up to `_POLL_SECONDS` for the first."""
        try:
            await asyncio.wait_for(self._has_calls.wait(), _POLL_SECONDS)
        except TimeoutError:
            return []
        self._has_calls.clear()
        calls, self._calls = self._calls, []
        return calls


class RemoteProgress:
    """Progress of a worker, forwarded to the actor and shown by the driver."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Start `task`."""
        self._send("start", task, total, unit)

    def advance(self, amount: int, **metrics: float) -> None:
        """Advance by `amount` units and show `metrics`."""
        self._send("advance", amount, **metrics)

    def finish(self, line: str = "") -> None:
        """End the task; `line` stays on the screen."""
        self._send("finish", line)

    def note(self, message: str) -> None:
        """Print a message."""
        self._send("note", message)

    def _send(self, name: str, *arguments: Any, **metrics: float) -> None:
        self.actor.add_call.remote((name, arguments, metrics))
