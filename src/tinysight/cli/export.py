"""`tinysight export`: a run for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tinysight.cli.options import RunArgument
from tinysight.screen.console import output


class Target(StrEnum):
    """What --to takes."""

    keras = "keras"
    onnx = "onnx"


def export(
    run: RunArgument,
    to: Annotated[Target, typer.Option(help="keras: a folder; onnx: one file.")],
    out: Annotated[Path | None, typer.Argument(help="Where to; default RUN.onnx or RUN-keras.")] = None,
) -> None:
    """Write RUN's classifier for another program, and say how that uses it."""
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
