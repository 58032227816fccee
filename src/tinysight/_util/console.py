"""Console output: results, errors, and progress bars on a terminal or in a notebook.

Progress and notices go to standard error. Without a terminal there is no bar, only the line that `finish` prints.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.text import Text

# Markup and emoji are off, because names of files and classes may contain [brackets] or :colons:.
# `!tinysight` in a notebook cell runs in a terminal, but its escape codes would stay in the output: print plain lines.
_FORCE_TERMINAL = False if "JPY_PARENT_PID" in os.environ else None
stderr_console = Console(
    stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False, force_terminal=_FORCE_TERMINAL
)
stdout_console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False, force_terminal=_FORCE_TERMINAL)


class ProgressBar(Protocol):
    """Progress bar of one task."""

    def advance(self, amount: int, metrics: Mapping[str, float]) -> None:
        """Advance the bar by `amount` units, and show `metrics`."""

    def stop(self) -> None:
        """Erase the bar."""


class ConsoleProgress:
    """Progress that draws a bar if the output is a terminal or a notebook."""

    def __init__(self) -> None:
        self._bar: ProgressBar | None = None

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Show a bar on a terminal or in a notebook."""
        self.finish()
        if stderr_console.is_jupyter:
            from tinysight._util.progress_bars import NotebookBar

            self._bar = NotebookBar(task, total, unit)
        elif is_interactive():
            from tinysight._util.progress_bars import TerminalBar

            # Redirect standard output above the bar only if it is the terminal, not a file or a pipe.
            self._bar = TerminalBar(stderr_console, sys.stdout.isatty(), task, total, unit)

    def advance(self, amount: int, **metrics: float) -> None:
        """Advance the bar by `amount` units, and show `metrics`."""
        if self._bar:
            self._bar.advance(amount, metrics)

    def finish(self, line: str = "") -> None:
        """Erase the bar, and print `line`."""
        if self._bar:
            self._bar.stop()
            self._bar = None
        if line:
            _print_line(line)

    def note(self, message: str) -> None:
        """Print a notice, in yellow."""
        _print_line(escape_control(message), style="yellow")


def is_interactive() -> bool:
    """Return whether standard error is a terminal or a notebook."""
    return stderr_console.is_terminal or stderr_console.is_jupyter


def _print_line(line: str, style: str | None = None) -> None:
    """Print a line; in a notebook without rich, which would make it a separate paragraph."""
    if stderr_console.is_jupyter:
        print_result(line)
    else:
        stderr_console.print(line, style=style)


progress = ConsoleProgress()
"""Progress shared by the whole process, so that an error handler can erase the bar."""


def print_result(line: str) -> None:
    """Print a result while a bar may be shown: rich moves the line above the bar on the same terminal.

    `stdout_console.print` and `typer.echo` bypass this redirection and would write into the bar.
    """
    sys.stdout.write(f"{line}\n")


def print_error(message: str) -> None:
    """Print an error message to standard error."""
    lines = (escape_control(line) for line in message.split("\n"))
    stderr_console.print(Text.assemble(("error: ", "bold red"), "\n".join(lines)))


def escape_control(text: str) -> str:
    r"""Return `text` with control characters and lone surrogates escaped, such as \x1b or \udce9."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
