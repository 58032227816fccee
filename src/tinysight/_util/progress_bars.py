"""Progress bars for terminal and notebook: speed, metrics and remaining time, in 80 columns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from tinysight._util.formatting import percent

_MAX_TASK = 28  # columns of the task's name
_MIN_BAR = 6  # columns of the bar
_WIDE = 70  # columns of a terminal that has room for a bar


class _StatusColumn(ProgressColumn):
    """Column with speed, metrics and remaining time, as far as they fit into the terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._console = console

    def render(self, task: Task) -> Text:
        """Return for example "1,368 images/s  loss 1.203  accuracy 57.1%  0:32 left"."""
        bar = _MIN_BAR + 1 if self._console.width >= _WIDE else 0
        width = self._console.width - min(len(task.description), _MAX_TASK) - bar - len(" 100% ")
        fields = task.fields
        return Text(
            format_status(task.speed, fields["unit"], fields["metrics"], task.time_remaining, width), style="cyan"
        )


class TerminalBar:
    """Progress bar for one task; it is erased when it stops.

    Args:
        console: the terminal.
        redirect_stdout: whether standard output is the same terminal, so that its lines go above the bar.
    """

    def __init__(self, console: Console, redirect_stdout: bool, task: str, total: int, unit: str) -> None:
        bar = BarColumn(bar_width=None, table_column=Column(min_width=_MIN_BAR, max_width=30))
        self._bar = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=_MAX_TASK)),
            *([bar] if console.width >= _WIDE else []),
            TaskProgressColumn(table_column=Column(no_wrap=True)),
            _StatusColumn(console),
            console=console,
            redirect_stdout=redirect_stdout,
            transient=True,
        )
        self._task = self._bar.add_task(task, total=total or None, unit=unit, metrics={})
        self._bar.start()

    def advance(self, amount: int, metrics: Mapping[str, float]) -> None:
        """Advance the bar by `amount` units, and show `metrics`."""
        self._bar.update(self._task, advance=amount, metrics=metrics)

    def stop(self) -> None:
        """Erase the bar."""
        self._bar.stop()


def format_status(
    speed: float | None, unit: str, metrics: Mapping[str, float], seconds_left: float | None, width: int = 1000
) -> str:
    """Return speed, metrics and seconds left, such as "1,368 images/s  loss 1.203  0:32 left".

    In fewer than `width` columns, drop the speed, then the first metrics, but keep the remaining time.
    """
    parts = [*_speed(speed, unit), *(f"{name} {_format(name, value)}" for name, value in metrics.items())]
    left = _remaining(seconds_left)
    while parts and len("  ".join([*parts, *left])) > width:
        parts.pop(0)
    return "  ".join([*parts, *left])


def _format(name: str, value: float) -> str:
    return percent(value) if name.endswith("accuracy") else f"{value:.3f}"


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


_REFRESH_SECONDS = 0.2

_displays: dict[int, Any] = {}  # display handle by execution count of the cell


class NotebookBar:
    """Progress bar for one task; it is erased when it stops. All bars of a cell share one display."""

    def __init__(self, task: str, total: int, unit: str) -> None:
        self._task, self._total, self._unit = task, total, unit
        self._done, self._start_time, self._draw_time = 0, time.monotonic(), 0.0
        self._display = _display()
        self._draw({})

    def advance(self, amount: int, metrics: Mapping[str, float]) -> None:
        """Advance the bar by `amount` units, and show `metrics`."""
        self._done += amount
        if time.monotonic() - self._draw_time > _REFRESH_SECONDS:
            self._draw(metrics)

    def stop(self) -> None:
        """Erase the bar."""
        self._display.update({"text/html": "", "text/plain": ""}, raw=True)

    def _draw(self, metrics: Mapping[str, float]) -> None:
        self._draw_time = time.monotonic()
        speed = self._done / max(self._draw_time - self._start_time, 1e-9)
        left = (self._total - self._done) / speed if self._total and self._done else None
        text = f"{self._task}  {format_status(speed, self._unit, metrics, left)}"
        attributes = f'max="{self._total}" value="{self._done}"' if self._total else ""
        bar = f"<progress {attributes}></progress> {escape(text)}"
        html = f'<div style="font-family: monospace; white-space: pre">{bar}</div>'
        self._display.update({"text/html": html, "text/plain": text}, raw=True)


def _display() -> Any:
    """Return the display handle of the current cell, above its printed output."""
    from IPython import get_ipython
    from IPython.display import display

    cell = getattr(get_ipython(), "execution_count", 0)
    if cell not in _displays:
        _displays.clear()
        empty = {"text/html": "", "text/plain": ""}
        _displays[cell] = display(empty, raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return _displays[cell]
