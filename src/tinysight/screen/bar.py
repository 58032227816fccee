"""Progress bar of the terminal: speed, metrics and remaining time, in 80 columns."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text


class _StatusColumn(ProgressColumn):
    """Column with speed, metrics and remaining time."""

    def render(self, task: Task) -> Text:
        """Return for example "1,368 images/s  loss 1.203  accuracy 0.571  0:32 left"."""
        return Text(told(task.speed, task.fields["unit"], task.fields["figures"], task.time_remaining), style="cyan")


class TerminalBar:
    """Progress bar for one task; it is erased when it stops.

    Args:
        console: the terminal.
        redirect_stdout: whether standard output is the same terminal, so that its lines go above the bar.
    """

    def __init__(self, console: Console, redirect_stdout: bool, task: str, total: int, unit: str) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=28)),
            BarColumn(bar_width=None, table_column=Column(min_width=6, max_width=30)),
            TaskProgressColumn(table_column=Column(no_wrap=True)),
            _StatusColumn(table_column=Column(no_wrap=True)),
            console=console,
            redirect_stdout=redirect_stdout,
            transient=True,
        )
        self._task = self._bar.add_task(task, total=total or None, unit=unit, figures={})
        self._bar.start()

    def advance(self, amount: int, figures: Mapping[str, float]) -> None:
        """Advance the bar by `amount` units, and show `figures`."""
        self._bar.update(self._task, advance=amount, figures=figures)

    def stop(self) -> None:
        """Erase the bar."""
        self._bar.stop()


def told(speed: float | None, unit: str, figures: Mapping[str, float], left: float | None) -> str:
    """Return speed, metrics and seconds left, such as "1,368 images/s  loss 1.203  0:32 left"."""
    metrics = [f"{name} {value:.3f}" for name, value in figures.items()]
    return "  ".join([*_speed(speed, unit), *metrics, *_remaining(left)])


def _speed(speed: float | None, unit: str) -> list[str]:
    if not speed or not unit:
        return []
    return [f"{decimal(int(speed))}/s" if unit == "B" else f"{speed:,.0f} {unit}/s"]


def _remaining(seconds_left: float | None) -> list[str]:
    if seconds_left is None:
        return []
    minutes, seconds = divmod(int(seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    return [f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"]
