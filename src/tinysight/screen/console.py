"""How long work looks to a person: a live bar on a terminal or in a notebook, one line an epoch elsewhere.

All on standard error.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

# Names of files and classes are shown as they are: neither [brackets] nor :colons: mean anything.
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
output = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


class ConsoleProgress:
    """What somebody who waits sees."""

    def __init__(self) -> None:
        self._bar: Bar | None = None

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Show a bar, if there is a terminal to show it on."""
        self.finish()
        if watched():
            from tinysight.screen.bar import bar

            # Results keep clear of the bar on the same terminal, and are never taken from a file or a pipe.
            self._bar = bar(errors, redirect_stdout=sys.stdout.isatty())
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
            errors.print(line)

    def note(self, message: str) -> None:
        """Say something on a line of its own."""
        errors.print(shown(message), style="yellow")


def watched() -> bool:
    """Return whether a bar can be seen: on a terminal, or in a notebook."""
    return errors.is_terminal or errors.is_jupyter


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
