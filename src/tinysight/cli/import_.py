"""`tinysight import`: import a Keras model as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight import api
from tinysight._util.console import escape_control, stdout_console
from tinysight.cli.options import DataDirOption
from tinysight.cli.output import command, print_next
from tinysight.cli.progress import progress


def import_(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="A .keras file, an .h5 file with the whole model, or an architecture as JSON."
        ),
    ],
    weights: Annotated[Path | None, typer.Argument(help="Weights as HDF5, if MODEL is an architecture.")] = None,
    out: Annotated[Path | None, typer.Option(help="New run directory; default: runs/MODEL.")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="cifar10|shapes|DIR|FILE.zip|FILE.csv",
            help="Training images, to name the classes and check the pixels.",
        ),
    ] = None,
    data_dir: DataDirOption = None,
    classes: Annotated[str, typer.Option(help="Class names, separated by commas; default: those of --data.")] = "",
    pixels: Annotated[
        str | None,
        typer.Option(
            metavar="0..1|0..255|-1..1|MEAN,STD",
            help="Pixel values that MODEL was trained on; default: 0..255 if its first layer scales them, else 0..1.",
        ),
    ] = None,
    logits: Annotated[bool, typer.Option("--logits", help="Treat the outputs as logits.")] = False,
) -> None:
    """Import a saved Keras model as a run that the other commands can read.

    Example: tinysight import model.keras --pixels -1..1
    """
    names = [name.strip() for name in classes.split(",")] if classes else []
    run = api.import_keras(
        model,
        weights,
        data,
        class_names=names,
        pixels=pixels,
        logits=logits,
        out=out,
        data_dir=data_dir,
        progress=progress,
    )
    stdout_console.print(f"run:  {run.path}")
    stdout_console.print(escape_control(run.recipe().description))
    if pixels is None:
        stdout_console.print("If the model was trained on other pixel values, import it again with --pixels.")
    if data is None and not classes:
        stdout_console.print(
            f"Its {len(run.class_names())} classes have no names. Pass --classes or --data to name them."
        )
    print_next(command("evaluate", run.path, *([] if data else ["--data", "DIR"])))
