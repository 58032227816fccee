"""The command-line interface: one module per command.

Each command parses its arguments, calls `tinysight.api`, and prints. Heavy modules such as torch are imported inside
the commands, so that `--help` and usage errors take under 0.5 s.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from tinysight._util.allocator import translate_oom
from tinysight._util.console import print_error
from tinysight._util.errors import TinysightError
from tinysight._util.hardware import limit_threads
from tinysight._util.platform import configure_output
from tinysight.cli import (
    add,
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
    relabel,
    remove,
    report,
    serve,
    summary,
    train,
    tune,
)
from tinysight.cli.progress import progress
from tinysight.cli.usage import HelpfulCommand, HelpfulGroup, print_version, usage_message, with_flags

_CTRL_C = 130  # the exit code that typer gives a KeyboardInterrupt
_TRAIN, _EVALUATE, _PREDICT = "Train", "Evaluate and trust", "Predict and deploy"
_DATA, _SYSTEM = "Data and recipes", "System"

app = typer.Typer(
    name="tinysight",
    cls=HelpfulGroup,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for panel, name, function in (
    (_TRAIN, "train", train.train),
    (_TRAIN, "tune", tune.tune),
    (_TRAIN, "add", add.add),
    (_TRAIN, "remove", remove.remove),
    (_TRAIN, "relabel", relabel.relabel),
    (_EVALUATE, "evaluate", evaluate.evaluate),
    (_EVALUATE, "explain", explain.explain),
    (_EVALUATE, "audit", audit.audit),
    (_EVALUATE, "compare", compare.compare),
    (_EVALUATE, "report", report.report),
    (_EVALUATE, "card", card.card),
    (_EVALUATE, "forget", forget.forget),
    (_PREDICT, "predict", predict.predict),
    (_PREDICT, "serve", serve.serve),
    (_PREDICT, "export", export.export),
    (_PREDICT, "import", import_.import_),
    (_DATA, "preview", preview.preview),
    (_DATA, "summary", summary.summary),
    (_SYSTEM, "doctor", doctor.doctor),
):
    app.command(name, cls=HelpfulCommand, rich_help_panel=panel)(function)
app.add_typer(recipes.app, name="recipes", rich_help_panel=_DATA)
app.add_typer(data.app, name="data", rich_help_panel=_DATA)


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train small-image classifiers on your own machine, measure how far to trust them, and share them responsibly.

    Example: tinysight train fast --data shapes --minutes 1
    """


def main() -> None:
    """Run the command line; report user errors in one line and exit with code 1 or 2."""
    configure_output()
    limit_threads()
    try:
        with translate_oom("use fewer or smaller images"):
            code = app(prog_name="tinysight", standalone_mode=False)
        if code == _CTRL_C:
            progress.finish()
            print_error("Interrupted.")
            code = 1
        sys.exit(code)
    except TyperException as error:
        print_error(usage_message(error))
        sys.exit(error.exit_code)
    except TinysightError as error:
        progress.finish()
        print_error(with_flags(str(error)))
        sys.exit(error.exit_code)
    finally:
        progress.finish()
