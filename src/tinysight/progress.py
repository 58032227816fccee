"""Where long work says how far it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """One task at a time: started, advanced, finished. Library code calls it and never prints."""

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Begin `task`, which is `total` units of work; 0 when nobody knows."""

    def advance(self, amount: int, **figures: float) -> None:
        """Say that `amount` more units are done, and what the figures (loss, accuracy) stand at now."""

    def finish(self, line: str = "") -> None:
        """End the task; `line` is what remains of it on the screen."""

    def note(self, message: str) -> None:
        """Tell something worth a line of its own."""


class Silent:
    """The progress nobody watches: what Python callers and tests get unless they ask for more."""

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Say nothing."""

    def advance(self, amount: int, **figures: float) -> None:
        """Say nothing."""

    def finish(self, line: str = "") -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""


SILENT = Silent()
