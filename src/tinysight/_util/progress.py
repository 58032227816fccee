"""Interface for progress reports of long-running work."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receiver of progress reports, for one task at a time. Library code calls it instead of printing."""

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Start a task of `total` units of work; 0 if the total is unknown."""

    def advance(self, amount: int, **metrics: float) -> None:
        """Add `amount` finished units, and update the metrics, such as loss and accuracy."""

    def finish(self, line: str = "") -> None:
        """Finish the task, and print `line` in place of its progress bar."""

    def note(self, message: str) -> None:
        """Print a notice on its own line."""


class SilentProgress:
    """Progress that discards all reports: the default of the Python API."""

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Do nothing."""

    def advance(self, amount: int, **metrics: float) -> None:
        """Do nothing."""

    def finish(self, line: str = "") -> None:
        """Do nothing."""

    def note(self, message: str) -> None:
        """Do nothing."""


SILENT = SilentProgress()
