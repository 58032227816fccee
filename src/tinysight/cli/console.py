"""How long work looks to a person: a live bar on a terminal, one line an epoch elsewhere. All on standard error."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

errors = Console(stderr=True, highlight=False, soft_wrap=True)
output = Console(highlight=False, soft_wrap=True)


class _Speed(ProgressColumn):
    """Units a second, and whatever figures the work reports."""

    def render(self, task: Task) -> Text:
        """Return for example "1,368 images/s  loss 1.2034  accuracy 0.5712"."""
        unit = task.fields["unit"]
        speed = [f"{task.speed:,.0f} {unit}/s"] if task.speed and unit else []
        figures = [f"{name} {value:.4f}" for name, value in task.fields["figures"].items()]
        return Text("  ".join([*speed, *figures]), style="cyan")


class ConsoleProgress:
    """The progress of the command line."""

    def __init__(self) -> None:
        self._bar: Bar | None = None

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Show a bar, if there is a terminal to show it on."""
        self.finish()
        if errors.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                _Speed(),
                TimeRemainingColumn(),
                console=errors,
                transient=True,
            )
            self._bar.add_task(task, total=total or None, unit=unit, figures={})
            self._bar.start()

    def advance(self, amount: int, **figures: float) -> None:
        """Move the bar."""
        if self._bar:
            self._bar.update(self._bar.task_ids[0], advance=amount, figures=figures)

    def finish(self, line: str = "") -> None:
        """Take the bar away and leave `line`."""
        if self._bar:
            self._bar.stop()
            self._bar = None
        if line:
            errors.print(line, markup=False)

    def note(self, message: str) -> None:
        """Say something on a line of its own."""
        errors.print(message, markup=False, style="yellow")
