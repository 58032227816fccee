"""`tinysight train`: train a recipe on a dataset."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysight._util.console import escape_control, progress, stdout_console
from tinysight._util.errors import InputError
from tinysight._util.formatting import percent
from tinysight._util.platform import join_command
from tinysight.cli.options import (
    DataDirOption,
    DataOption,
    DeviceChoice,
    DeviceOption,
    EpochsOption,
    MinutesOption,
    PrecisionChoice,
    PrecisionOption,
    RecipeArgument,
    SeedOption,
    SetOption,
    SkipUnreadableOption,
    next_free_run,
)

if TYPE_CHECKING:
    from tinysight.runs.records import Summary


class LauncherChoice(StrEnum):
    """Values of --launcher."""

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
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.auto,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of data-parallel processes, which split every batch.")
    ] = 1,
    launcher: Annotated[
        LauncherChoice | None,
        typer.Option(help="Launcher for the workers: torchrun (default, local) or ray (cluster)."),
    ] = None,
    overrides: SetOption = [],  # noqa: B006  (typer copies it)
    skip_unreadable: SkipUnreadableOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
) -> None:
    """Train RECIPE and write a run directory."""
    start_time = time.time()
    if resume and not out:
        raise InputError("--resume: needs the run to resume. Set --out RUN.")

    from tinysight.recipes import loading

    resolved = loading.load_with_overrides(recipe, overrides, epochs, minutes)  # before the slow import of torch

    from tinysight.data import load
    from tinysight.training.distributed.launch import is_torchrun_worker, launch_training
    from tinysight.training.request import TrainRequest

    if is_torchrun_worker() and not out:
        raise InputError("torchrun: its workers need a common run directory. Set --out RUN.")

    request = TrainRequest(
        resolved,
        load.resolve_source(data),
        out or next_free_run(resolved.name),
        seed,
        data_dir,
        skip_unreadable,
        precision.value,
        device.value,
        resume,
        start_time,
    )
    summary = launch_training(request, workers, launcher.value if launcher else None, progress)
    if summary is None:
        return
    _print_summary(summary, request.path)
    if summary.status == "interrupted":
        _print_resume_command(request.path, new=not resume, named=out is not None)
        raise typer.Exit(1)


def _print_summary(summary: Summary, path: Path) -> None:
    accuracy = "not measured" if summary.val_accuracy is None else percent(summary.val_accuracy)
    epochs = "1 epoch" if summary.epochs == 1 else f"{summary.epochs} epochs"
    stdout_console.print(
        f"{summary.status}: {summary.recipe} on {escape_control(summary.dataset)}, {epochs} "
        f"in {summary.train_seconds:,.1f} s, validation accuracy {accuracy}"
    )
    stdout_console.print(f"run:  {path}")
    if summary.status == "finished":
        stdout_console.print(f"next: tinysight evaluate {join_command([str(path)])}")


def _print_resume_command(path: Path, new: bool, named: bool) -> None:
    command = ["tinysight", *sys.argv[1:], *([] if named else ["--out", str(path)]), *(["--resume"] if new else [])]
    stdout_console.print(f"resume with: {join_command(command)}")
