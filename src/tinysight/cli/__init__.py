"""The command line: one file a verb. Each parses, calls and prints; none of them thinks.

Nothing heavy is imported before a verb runs, so that help and typing errors are answered at once.
"""

from __future__ import annotations

import os
import sys

import typer

from tinysight.cli import data, doctor, evaluate, predict, preview, recipes, summary, train
from tinysight.cli.console import errors
from tinysight.errors import TinysightError

app = typer.Typer(
    name="tinysight",
    help="Small-image classifiers you can train on a laptop, check honestly and hand on responsibly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for verb in (train.train, evaluate.evaluate, predict.predict, preview.preview, summary.summary, doctor.doctor):
    app.command()(verb)
app.add_typer(recipes.app, name="recipes")
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line; every error a user can cause ends in one sentence and exit code 1 or 2."""
    try:
        app()
    except TinysightError as error:
        errors.print(f"[bold red]error:[/] {_escaped(error)}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors.print("stopped")
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does: nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _escaped(error: TinysightError) -> str:
    return str(error).replace("[", r"\[")
