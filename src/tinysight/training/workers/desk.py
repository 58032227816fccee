"""What workers on other machines say to whoever started them, and are asked: kept by an actor of Ray."""

from __future__ import annotations

import asyncio
from typing import Any

from tinysight.errors import TinysightError

Call = tuple[str, tuple[Any, ...], dict[str, float]]
"""The name of a method of Progress, and what it is called with."""

_PATIENCE = 0.5  # seconds that a question for news may wait for some


class Desk:
    """Lives on the side of whoever started the workers, for the length of a training."""

    def __init__(self) -> None:
        self._stop, self._news = asyncio.Event(), asyncio.Event()
        self._calls: list[Call] = []
        self._errors: list[TinysightError] = []

    async def ask(self) -> None:
        """Ask the workers to stop."""
        self._stop.set()

    async def asked(self) -> bool:
        """Wait until somebody asks the workers to stop."""
        return await self._stop.wait()

    async def fail(self, error: TinysightError) -> None:
        """Take note of why a worker ended."""
        self._errors.append(error)

    async def errors(self) -> list[TinysightError]:
        """Return why workers ended, those first that ended first."""
        return self._errors

    async def tell(self, call: Call) -> None:
        """Take note of how far the work is."""
        self._calls.append(call)
        self._news.set()

    async def calls(self) -> list[Call]:
        """Return what is new of how far the work is; wait for it a moment, and return nothing if nothing comes."""
        try:
            await asyncio.wait_for(self._news.wait(), _PATIENCE)
        except TimeoutError:
            return []
        self._news.clear()
        found, self._calls = self._calls, []
        return found


class Reported:
    """The progress of a worker, shown where the desk is."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Begin `task`."""
        self._tell("start", task, total, unit)

    def advance(self, amount: int, **figures: float) -> None:
        """Say that `amount` more units are done."""
        self._tell("advance", amount, **figures)

    def finish(self, line: str = "") -> None:
        """End the task; `line` remains."""
        self._tell("finish", line)

    def note(self, message: str) -> None:
        """Tell something worth a line."""
        self._tell("note", message)

    def _tell(self, name: str, *arguments: Any, **figures: float) -> None:
        self.desk.tell.remote((name, arguments, figures))
