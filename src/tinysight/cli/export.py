"""`tinysight export`: export a classifier to Keras or ONNX."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tinysight._util.console import stdout_console
from tinysight.cli.options import RunArgument


class ExportFormat(StrEnum):
    """Values of --to."""

    keras = "keras"
    onnx = "onnx"


def export(
    run: RunArgument,
    to: Annotated[ExportFormat, typer.Option(help="keras writes a folder, onnx a single file.")],
    out: Annotated[Path | None, typer.Argument(help="Output path; default: RUN.onnx or RUN-keras.")] = None,
) -> None:
    """Export RUN's classifier, and print a code example that loads it."""
    from tinysight.interop import usage
    from tinysight.runs.run import Run

    classifier = Run.open(run).classifier()
    if to is ExportFormat.onnx:
        from tinysight.interop.onnx.exporter import export_onnx

        path = out or run.with_name(f"{run.name}.onnx")
        export_onnx(classifier, path)
        stdout_console.print(f"file: {path}\n\n{usage.onnx_usage(path, classifier.image_size)}")
    else:
        from tinysight.interop.keras.exporter import export_keras

        path = out or run.with_name(f"{run.name}-keras")
        export_keras(classifier, path)
        stdout_console.print(f"folder: {path}\n\n{usage.keras_usage(path, classifier.image_size)}")
