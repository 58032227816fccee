"""The live bar: how far, how fast, with which loss and accuracy, and how long still. Fits into 80 columns."""

from __future__ import annotations

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text


class _Figures(ProgressColumn):
    """Units a second, whatever figures the work reports, and the time left."""

    def render(self, task: Task) -> Text:
        """Return for example "1,368 images/s  loss 1.203  accuracy 0.571  0:32 left"."""
        figures = [f"{name} {value:.3f}" for name, value in task.fields["figures"].items()]
        return Text("  ".join([*_speed(task), *figures, *_left(task)]), style="cyan")


def bar(console: Console, redirect_stdout: bool) -> Progress:
    """Return a bar for one task with the fields `unit` and `figures`, which vanishes when it is stopped."""
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=28)),
        BarColumn(bar_width=None, table_column=Column(min_width=6, max_width=30)),
        TaskProgressColumn(table_column=Column(no_wrap=True)),
        _Figures(table_column=Column(no_wrap=True)),
        console=console,
        redirect_stdout=redirect_stdout,
        transient=True,
    )


def _speed(task: Task) -> list[str]:
    unit = task.fields["unit"]
    if not task.speed or not unit:
        return []
    return [f"{decimal(int(task.speed))}/s" if unit == "B" else f"{task.speed:,.0f} {unit}/s"]


def _left(task: Task) -> list[str]:
    if task.time_remaining is None:
        return []
    minutes, seconds = divmod(int(task.time_remaining), 60)
    hours, minutes = divmod(minutes, 60)
    return [f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"]
