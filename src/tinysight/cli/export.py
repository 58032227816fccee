"""`tinysight export`: export a classifier to Keras or ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tinysight import api
from tinysight._util.console import stdout_console
from tinysight.cli.options import RunArgument
from tinysight.cli.output import command, print_next


def export(
    run: RunArgument,
    to: Annotated[Literal["keras", "onnx"], typer.Option(help="keras writes a folder, onnx a single file.")],
    out: Annotated[Path | None, typer.Argument(help="Output path; default: RUN.onnx or RUN-keras.")] = None,
) -> None:
    """Export RUN's classifier, and print a code example that loads it.

    Example: tinysight export runs/fast-1 --to onnx
    """
    path = api.export(run, to, out)

    from tinysight.interop import usage

    size = api.open_run(run).classifier().image_size
    if to == "onnx":
        stdout_console.print(f"file: {path}\n\n{usage.onnx_usage(path, size)}")
        print_next(command("evaluate", path, "--data", "DIR"))
    else:
        stdout_console.print(f"folder: {path}\n\n{usage.keras_usage(path, size)}")
        print_next("load the model with the program above")
