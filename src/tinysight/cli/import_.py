"""`tinysight import`: import a Keras model as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight._util.console import progress, stdout_console
from tinysight._util.errors import InputError
from tinysight.cli.options import DataDirOption, DataOption


def import_(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Architecture as JSON, or a .keras file.")],
    weights: Annotated[Path | None, typer.Argument(help="Weights as HDF5; not needed for a .keras file.")] = None,
    out: Annotated[Path | None, typer.Option(help="New run directory; default: runs/MODEL.")] = None,
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    classes: Annotated[str, typer.Option(help="Class names, separated by commas; default: those of --data.")] = "",
) -> None:
    """Import a saved Keras model as a run, for evaluate, predict, audit and the other commands."""
    from tinysight.data import load
    from tinysight.interop.keras.importer import KerasFiles, import_model
    from tinysight.runs.run import Run

    path = out or Path("runs", model.stem)
    Run.check_available(path)
    sources = KerasFiles.open(model, weights)
    argument = load.resolve_source(data)
    dataset = load.load(argument, sources.architecture.image_size, data_dir, progress=progress)
    names = [name.strip() for name in classes.split(",")] if classes else []
    if len(set(names)) < len(names):
        raise InputError(f"--classes {classes}: class names are repeated. Give each class a different name.")
    run = import_model(sources, path, dataset, argument, names)
    stdout_console.print(f"run:  {run.path}\nnext: tinysight evaluate {run.path}")
