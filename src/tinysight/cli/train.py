"""`tinysight train`: train a recipe on a dataset."""

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
    """Values of --engine."""

    torchrun = "torchrun"
    ray = "ray"


def train(
    recipe: RecipeArgument,
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    out: Annotated[Path | None, typer.Option(help="New run directory; default: runs/RECIPE-1, -2, ...")] = None,
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    minutes: MinutesOption = None,
    device: DeviceOption = Device.auto,
    precision: PrecisionOption = Precision.auto,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of data-parallel processes, which split every batch.")
    ] = 1,
    engine: Annotated[
        Engine | None, typer.Option(help="Launcher for the workers: torchrun (default, local) or ray (cluster).")
    ] = None,
    changes: SetOption = [],  # noqa: B006  (typer copies it)
    skip_bad: SkipBadOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
) -> None:
    """Train RECIPE and write a run directory."""
    start_time = time.time()
    if resume and not out:
        raise InputError("--resume: needs the run to resume. Set --out RUN.")

    from tinysight.recipes import loading

    resolved = loading.changed(recipe, changes, epochs, minutes)  # before the slow import of torch

    from tinysight.data import load
    from tinysight.training.order import Order
    from tinysight.training.workers.engines import is_worker, train_on

    if is_worker() and not out:
        raise InputError("torchrun: its workers need a common run directory. Set --out RUN.")

    request = Order(
        resolved,
        load.normalise(data),
        out or free_name(resolved.name),
        seed,
        data_dir,
        skip_bad,
        precision.value,
        device.value,
        resume,
        start_time,
    )
    summary = train_on(request, workers, engine.value if engine else None, progress)
    if summary is None:
        return
    _print_summary(summary, request.path)
    if summary.status == "interrupted":
        _print_resume_command(request.path, new=not resume, named=out is not None)
        raise typer.Exit(1)


def _print_summary(summary: Summary, path: Path) -> None:
    accuracy = "not measured" if summary.val_accuracy is None else f"{summary.val_accuracy:.4f}"
    epochs = "1 epoch" if summary.epochs == 1 else f"{summary.epochs} epochs"
    output.print(
        f"{summary.status}: {summary.recipe} on {shown(summary.dataset)}, {epochs} in {summary.train_seconds:,.1f} s, "
        f"validation accuracy {accuracy}"
    )
    output.print(f"run:  {path}")
    if summary.status == "finished":
        output.print(f"next: tinysight evaluate {shlex.quote(str(path))}")


def _print_resume_command(path: Path, new: bool, named: bool) -> None:
    command = ["tinysight", *sys.argv[1:], *([] if named else ["--out", str(path)]), *(["--resume"] if new else [])]
    output.print(f"resume with: {shlex.join(command)}")
