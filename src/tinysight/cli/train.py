"""`tinysight train`: a recipe and images become a run."""

from __future__ import annotations

import shlex
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysight.cli.options import (
    DataDirOption,
    DataOption,
    Device,
    DeviceOption,
    EpochsOption,
    MinutesOption,
    Precision,
    PrecisionOption,
    RecipeArgument,
    SeedOption,
    SetOption,
    SkipBadOption,
    free_name,
)
from tinysight.errors import InputError
from tinysight.screen.console import output, progress, shown

if TYPE_CHECKING:
    from tinysight.runs.records import Summary


class Engine(StrEnum):
    """What --engine takes."""

    torchrun = "torchrun"
    ray = "ray"


def train(
    recipe: RecipeArgument,
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    out: Annotated[Path | None, typer.Option(help="The run directory to make; default runs/RECIPE-1, -2, ...")] = None,
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    minutes: MinutesOption = None,
    device: DeviceOption = Device.auto,
    precision: PrecisionOption = Precision.auto,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Train on so many processes, which share every batch.")
    ] = 1,
    engine: Annotated[
        Engine | None, typer.Option(help="Who starts them: torchrun (default), on this machine; or ray, on a cluster.")
    ] = None,
    changes: SetOption = [],  # noqa: B006  (typer copies it)
    skip_bad: SkipBadOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train RECIPE and leave a run directory."""
    begun = time.time()
    if resume and not out:
        raise InputError("--resume goes on with a run: say which by --out RUN.")

    from tinysight.recipes import loading

    settled = loading.changed(recipe, changes, epochs, minutes)  # a typing error is answered before torch is there

    from tinysight.data import load
    from tinysight.training.order import Order
    from tinysight.training.workers.engines import is_worker, train_on

    if is_worker() and not out:
        raise InputError("Each of torchrun's workers would choose a name: say where the run is to be by --out RUN.")

    order = Order(
        settled,
        load.normalise(data),
        out or free_name(settled.name),
        seed,
        data_dir,
        skip_bad,
        precision.value,
        device.value,
        resume,
        begun,
    )
    summary = train_on(order, workers, engine.value if engine else None, progress)
    if summary is None:
        return
    _tell(summary, order.path)
    if summary.status == "interrupted":
        _tell_how_to_resume(order.path, new=not resume, named=out is not None)
        raise typer.Exit(1)


def _tell(summary: Summary, path: Path) -> None:
    accuracy = "not measured" if summary.val_accuracy is None else f"{summary.val_accuracy:.4f}"
    epochs = "1 epoch" if summary.epochs == 1 else f"{summary.epochs} epochs"
    output.print(
        f"{summary.status}: {summary.recipe} on {shown(summary.dataset)}, {epochs} in {summary.train_seconds:,.1f} s, "
        f"validation accuracy {accuracy}"
    )
    output.print(f"run:  {path}")
    if summary.status == "finished":
        output.print(f"next: tinysight evaluate {shlex.quote(str(path))}")


def _tell_how_to_resume(path: Path, new: bool, named: bool) -> None:
    command = ["tinysight", *sys.argv[1:], *([] if named else ["--out", str(path)]), *(["--resume"] if new else [])]
    output.print(f"go on with:  {shlex.join(command)}")
