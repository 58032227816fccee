"""The command line: one file a verb. Each parses, calls and prints; none of them thinks.

Nothing heavy is imported before a verb runs, so that help and typing errors are answered at once.
"""

from __future__ import annotations

import io
import sys

import typer

from tinysight.cli import (
    audit,
    bring,
    card,
    compare,
    data,
    doctor,
    evaluate,
    explain,
    export,
    forget,
    predict,
    preview,
    recipes,
    report,
    serve,
    summary,
    train,
    tune,
)
from tinysight.errors import TinysightError
from tinysight.machine import limit_threads
from tinysight.memory import enough_memory
from tinysight.screen.console import complain, progress

CTRL_C = 130  # what typer makes of a KeyboardInterrupt

app = typer.Typer(
    name="tinysight",
    help="Small-image classifiers you can train on a laptop, check honestly and hand on responsibly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for verb in (
    train.train,
    tune.tune,
    evaluate.evaluate,
    predict.predict,
    explain.explain,
    audit.audit,
    forget.forget,
    card.card,
    report.report,
    compare.compare,
    export.export,
    serve.serve,
    preview.preview,
    summary.summary,
    doctor.doctor,
):
    app.command()(verb)
app.command("import")(bring.bring)  # a word that Python keeps for itself
app.add_typer(recipes.app, name="recipes")
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line; every error a user can cause ends in one sentence and exit code 1 or 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # so that a name that is no text can still be printed
        sys.stdout.reconfigure(errors="backslashreplace")
    limit_threads()
    try:
        with enough_memory("take fewer or smaller images"):
            app(prog_name="tinysight")
    except TinysightError as error:
        progress.finish()
        complain(str(error))
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code != CTRL_C:
            raise
        progress.finish()
        complain("Interrupted.")
        sys.exit(1)
    finally:
        progress.finish()
