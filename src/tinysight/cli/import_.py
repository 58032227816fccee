"""`tinysight import`: import a Keras model as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight import api
from tinysight._util.console import progress, stdout_console
from tinysight.cli.options import DataDirOption, DataOption
from tinysight.cli.output import command, print_next


def import_(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Architecture as JSON, or a .keras file.")],
    weights: Annotated[Path | None, typer.Argument(help="Weights as HDF5; not needed for a .keras file.")] = None,
    out: Annotated[Path | None, typer.Option(help="New run directory; default: runs/MODEL.")] = None,
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    classes: Annotated[str, typer.Option(help="Class names, separated by commas; default: those of --data.")] = "",
) -> None:
    """Import a saved Keras model as a run, for evaluate, predict, audit and the other commands.

    Example: tinysight import model.json weights.h5
    """
    names = [name.strip() for name in classes.split(",")] if classes else []
    run = api.import_keras(model, weights, data, class_names=names, out=out, data_dir=data_dir, progress=progress)
    stdout_console.print(f"run:  {run.path}")
    print_next(command("evaluate", run.path))
