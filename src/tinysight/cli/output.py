"""Output shared by the commands: the next step, percentages of n images."""

from __future__ import annotations

import sys
from pathlib import Path

from tinysight._util.console import escape_control, stderr_console
from tinysight._util.formatting import percent
from tinysight._util.platform import join_command

FEW_IMAGES = 1000  # below, an accuracy is printed with its interval and the baseline; above, that is ±3 points at most


def command(*words: str | Path) -> str:
    """Return a tinysight command, quoted for the shell."""
    return join_command(["tinysight", *map(str, words)])


def print_next(step: str) -> None:
    """Print what to do next, on standard error: results on standard output stay machine-readable."""
    sys.stdout.flush()  # so that the step comes last if both streams go to one file
    stderr_console.print(f"next: {escape_control(step)}", style="cyan")


def print_resume(*options: str) -> None:
    """Print the command that resumes this one: the same, with `options` added."""
    print_next(command(*sys.argv[1:], *options))


def accuracy_of(accuracy: float, n: int, *details: str) -> str:
    """Return an accuracy, 0..1, with the number of images it was measured on and further details.

    >>> accuracy_of(0.9684, 1900)
    '96.8% (n = 1,900)'
    >>> accuracy_of(0.8421, 19, "62.4% to 94.5%", baseline_of("cat", 0.5263))
    "84.2% (n = 19, 62.4% to 94.5%; always 'cat' would be right for 52.6%)"
    """
    interval, *others = details or ("",)
    return f"{percent(accuracy)} ({'; '.join([', '.join(filter(None, [f'n = {n:,}', interval])), *others])})"


def baseline_of(name: str, accuracy: float) -> str:
    """Return the accuracy, 0..1, of always predicting one class, in words."""
    return f"always '{escape_control(name)}' would be right for {percent(accuracy)}"
