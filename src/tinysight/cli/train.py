"""`tinysight train`: a recipe and images become a run."""

from __future__ import annotations

import shlex
import sys
import time
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
    changes: SetOption = [],  # noqa: B006  (typer copies it)
    skip_bad: SkipBadOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train RECIPE and leave a run directory."""
    begun = time.perf_counter()
    if resume and not out:
        raise InputError("--resume goes on with a run: say which by --out RUN.")

    from tinysight.recipes import loading

    settled = loading.changed(recipe, changes, epochs, minutes)  # a typing error is answered before torch is there

    from tinysight.data import load
    from tinysight.runs.run import Run
    from tinysight.training import device as devices
    from tinysight.training import planning
    from tinysight.training import precision as precisions
    from tinysight.training.resuming import settled_before
    from tinysight.training.settling import settle
    from tinysight.training.train import Plan
    from tinysight.training.train import train as run_training

    argument, path = load.normalise(data), out or free_name(settled.name)
    asked: precisions.Asked = precision.value
    asked_device: devices.Asked = device.value
    if resume:  # what can be refused is refused before the images are loaded, which may take minutes
        settled, asked, asked_device = settled_before(path, settled, argument, seed, asked, asked_device)
    else:
        Run.require_vacant(path)
        planning.require_time(settled)
    where = devices.choose(asked_device)
    dataset = load.load(argument, settled.data.image_size, data_dir, skip_bad, progress)
    for remark in dataset.remarks:
        progress.note(remark)
    settled, numbers = settle(settled, dataset, begun, asked, where, progress)
    found = data_dir if argument == "cifar10" else None
    plan = Plan(settled, dataset, argument, seed, numbers, data_dir=found, device=where, begun=begun)
    summary = run_training(plan, path, resume, progress)
    _tell(summary, path)
    if summary.status == "interrupted":
        _tell_how_to_resume(path, new=not resume, named=out is not None)
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
