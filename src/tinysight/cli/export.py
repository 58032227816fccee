"""`tinysight export`: export a classifier to Keras or ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight import api
from tinysight._util.console import progress, stdout_console
from tinysight._util.formatting import percent
from tinysight.cli.options import DataDirOption, RunArgument, RunDataOption
from tinysight.cli.output import accuracy_of, command, print_next
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
    tta: Annotated[bool, typer.Option("--tta", help="Include test-time augmentation; onnx only.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize to 8-bit integers and print the change in accuracy; onnx only.")
    ] = False,
    data: RunDataOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Export RUN's classifier, and print a code example that loads it.

    Example: tinysight export runs/fast-1 --to onnx
    """
    path = api.export(run, to, out, tta=tta, int8=int8, dataset=data, data_dir=data_dir, progress=progress)
    usage = get_exporter(to).usage(path, api.open_run(run).classifier())
    is_folder = path.is_dir()
    stdout_console.print(f"{'folder' if is_folder else 'file'}: {path}")
    if int8:
        _print_cost(path)
    stdout_console.print(f"\n{usage}")
    if is_folder:
        print_next("load the model with the program above")
    else:
        print_next(command("evaluate", path, "--data", "DIR"))


def _print_cost(path: Path) -> None:
    """Print the score of a quantized classifier, and that in floating point."""
    from tinysight.interop.onnx.runtime import OnnxFile

    cost = OnnxFile(path).classifier().metadata.int8
    if cost is not None and cost.score is not None and cost.float_score is not None:
        stdout_console.print(
            f"validation {cost.measure}: int8 {accuracy_of(cost.score, cost.n_validation)}, "
            f"float {percent(cost.float_score)}"
        )
