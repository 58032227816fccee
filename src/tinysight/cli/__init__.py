"""The command-line interface: one module per command.

Heavy modules such as torch are imported inside the commands, so that `--help` and usage errors take under 0.5 s.
"""

from __future__ import annotations

import sys

import typer

from tinysight._util.allocator import translate_oom
from tinysight._util.console import print_error, progress
from tinysight._util.errors import TinysightError
from tinysight._util.hardware import limit_threads
from tinysight._util.platform import configure_output
from tinysight.cli import (
    audit,
    card,
    compare,
    data,
    doctor,
    evaluate,
    explain,
    export,
    forget,
    import_,
    predict,
    preview,
    recipes,
    report,
    serve,
    summary,
    train,
    tune,
)

_CTRL_C = 130  # the exit code that typer gives a KeyboardInterrupt

app = typer.Typer(
    name="tinysight",
    help="Train small-image classifiers on a laptop, measure how far to trust them, and hand them on responsibly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (
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
    app.command()(command)
app.command("import")(import_.import_)  # `import` is a Python keyword
app.add_typer(recipes.app, name="recipes")
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line; report user errors in one sentence and exit with code 1 or 2."""
    configure_output()
    limit_threads()
    try:
        with translate_oom("use fewer or smaller images"):
            app(prog_name="tinysight")
    except TinysightError as error:
        progress.finish()
        print_error(str(error).replace("pass skip_unreadable=True", "set --skip-unreadable"))
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code != _CTRL_C:
            raise
        progress.finish()
        print_error("Interrupted.")
        sys.exit(1)
    finally:
        progress.finish()
