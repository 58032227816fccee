"""How long work looks to a person: a live bar on a terminal or in a notebook, one line an epoch elsewhere.

All on standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.text import Text

# Names of files and classes are shown as they are: neither [brackets] nor :colons: mean anything.
# What a cell runs by `!tinysight` finds a terminal, but its signs would stay in the notebook: it gets plain lines.
_TERMINAL = False if "JPY_PARENT_PID" in os.environ else None
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False, force_terminal=_TERMINAL)
output = Console(highlight=False, soft_wrap=True, markup=False, emoji=False, force_terminal=_TERMINAL)


class Bar(Protocol):
    """What is drawn while one task lasts."""

    def advance(self, amount: int, figures: Mapping[str, float]) -> None:
        """Move it."""

    def stop(self) -> None:
        """Take it away."""


class ConsoleProgress:
    """What somebody who waits sees."""

    def __init__(self) -> None:
        self._bar: Bar | None = None

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Show a bar, if there is something to show it on."""
        self.finish()
        if errors.is_jupyter:
            from tinysight.screen.notebook import NotebookBar

            self._bar = NotebookBar(task, total, unit)
        elif watched():
            from tinysight.screen.bar import TerminalBar

            # Results keep clear of the bar on the same terminal, and are never taken from a file or a pipe.
            self._bar = TerminalBar(errors, sys.stdout.isatty(), task, total, unit)

    def advance(self, amount: int, **figures: float) -> None:
        """Move the bar."""
        if self._bar:
            self._bar.advance(amount, figures)

    def finish(self, line: str = "") -> None:
        """Take the bar away and leave `line`."""
        if self._bar:
            self._bar.stop()
            self._bar = None
        if line:
            _remark(line)

    def note(self, message: str) -> None:
        """Say something on a line of its own."""
        _remark(shown(message), style="yellow")


def watched() -> bool:
    """Return whether a bar can be seen: on a terminal, or in a notebook."""
    return errors.is_terminal or errors.is_jupyter


def _remark(line: str, style: str | None = None) -> None:
    """Leave a line; a notebook would show every one that rich prints as a paragraph of its own."""
    if errors.is_jupyter:
        say(line)
    else:
        errors.print(line, style=style)


progress = ConsoleProgress()
"""The one progress of this process, so that whatever ends the process can take the bar away."""


def say(line: str) -> None:
    """Print a result while there may be a bar: rich takes it to the line above, if both are on one terminal.

    `output` and `typer.echo` write past that, into the bar.
    """
    sys.stdout.write(f"{line}\n")


def complain(message: str) -> None:
    """Say what went wrong."""
    lines = (shown(line) for line in message.split("\n"))
    errors.print(Text.assemble(("error: ", "bold red"), "\n".join(lines)))


def shown(text: str) -> str:
    r"""Return `text` with whatever would steer a terminal, or is no character, written out as \x1b or \udce9."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
