"""`tinysight export`: export a classifier to Keras or ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight import api
from tinysight._util.console import stdout_console
from tinysight.cli.options import RunArgument
from tinysight.cli.output import command, print_next
from tinysight.interop.exporters import exporter_names, get_exporter


def export(
    run: RunArgument,
    to: Annotated[
        str,
        typer.Option(
            metavar="|".join(exporter_names()),
            autocompletion=exporter_names,
            help="Format; keras writes a folder, onnx a single file.",
        ),
    ],
    out: Annotated[Path | None, typer.Argument(help="Output path; default: RUN.onnx or RUN-keras.")] = None,
) -> None:
    """Export RUN's classifier, and print a code example that loads it.

    Example: tinysight export runs/fast-1 --to onnx
    """
    path = api.export(run, to, out)
    usage = get_exporter(to).usage(path, api.open_run(run).classifier())
    is_folder = path.is_dir()
    stdout_console.print(f"{'folder' if is_folder else 'file'}: {path}\n\n{usage}")
    if is_folder:
        print_next("load the model with the program above")
    else:
        print_next(command("evaluate", path, "--data", "DIR"))
