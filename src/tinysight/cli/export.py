"""`tinysight export`: export a classifier to Keras or ONNX."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tinysight.cli.options import RunArgument
from tinysight.screen.console import output


class Target(StrEnum):
    """Values of --to."""

    keras = "keras"
    onnx = "onnx"


def export(
    run: RunArgument,
    to: Annotated[Target, typer.Option(help="keras writes a folder, onnx a single file.")],
    out: Annotated[Path | None, typer.Argument(help="Output path; default: RUN.onnx or RUN-keras.")] = None,
) -> None:
    """Export RUN's classifier, and print a code example that loads it."""
    from tinysight.interop import snippets
    from tinysight.runs.run import Run

    classifier = Run.open(run).classifier()
    if to is Target.onnx:
        from tinysight.interop.onnx.exporting import export_onnx

        path = out or run.with_name(f"{run.name}.onnx")
        export_onnx(classifier, path)
        output.print(f"file: {path}\n\n{snippets.onnx(path, classifier.image_size)}")
    else:
        from tinysight.interop.keras.exporting import export_keras

        path = out or run.with_name(f"{run.name}-keras")
        export_keras(classifier, path)
        output.print(f"folder: {path}\n\n{snippets.keras(path, classifier.image_size)}")
