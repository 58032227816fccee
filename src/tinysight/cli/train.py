"""`tinysight train`: a recipe and images become a run."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysight.cli.console import output, progress, shown
from tinysight.cli.options import DataDirOption, DataOption, RecipeArgument, SeedOption, SetOption, SkipBadOption
from tinysight.errors import InputError

if TYPE_CHECKING:
    from tinysight.runs.records import Summary


class Precision(StrEnum):
    """What --precision takes."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


def train(
    recipe: RecipeArgument,
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    out: Annotated[Path | None, typer.Option(help="The run directory to make; default runs/RECIPE-1, -2, ...")] = None,
    seed: SeedOption = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="The same as --set training.epochs=N.")] = None,
    precision: Annotated[Precision, typer.Option(help="auto: bf16 where the processor has it.")] = Precision.auto,
    changes: SetOption = [],  # noqa: B006  (typer copies it)
    skip_bad: SkipBadOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train RECIPE and leave a run directory."""
    from tinysight.recipes import loading

    if resume and not out:
        raise InputError("--resume goes on with a run: say which by --out RUN.")
    overrides = [*changes, *([f"training.epochs={epochs}"] if epochs else [])]
    settled = loading.load(recipe, overrides)

    from tinysight.data import load
    from tinysight.runs.run import Run
    from tinysight.training import precision as precisions
    from tinysight.training.train import Plan, require_resumable
    from tinysight.training.train import train as run_training

    argument, numbers = load.normalise(data), precisions.choose(precision.value)
    path = out or _free_name(settled.name)
    if resume:  # what can be refused is refused before the images are loaded, which may take minutes
        require_resumable(path, settled, argument, seed, numbers)
    else:
        Run.require_vacant(path)
    dataset = load.load(argument, settled.data.image_size, data_dir, skip_bad, progress)
    for remark in dataset.remarks:
        progress.note(remark)
    plan = Plan(settled, dataset, argument, seed, numbers, data_dir if argument == "cifar10" else None)
    summary = run_training(plan, path, resume, progress)
    _tell(summary, path)
    if summary.status == "interrupted":
        _tell_how_to_resume(recipe, argument, data_dir, path, seed, precision, overrides, skip_bad)
        raise typer.Exit(1)


def _free_name(recipe: str) -> Path:
    """Return runs/RECIPE-N with the first N that is free."""
    number = 1
    while Path("runs", f"{recipe}-{number}").exists():
        number += 1
    return Path("runs", f"{recipe}-{number}")


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


def _tell_how_to_resume(
    recipe: str,
    data: str,
    data_dir: Path | None,
    path: Path,
    seed: int,
    precision: Precision,
    overrides: list[str],
    skip_bad: bool,
) -> None:
    command = ["tinysight", "train", recipe, "--data", data, "--out", str(path), "--seed", str(seed)]
    command += ["--data-dir", str(data_dir)] if data_dir else []
    command += ["--precision", precision.value] if precision != Precision.auto else []
    command += [word for override in overrides for word in ("--set", override)]
    command += ["--skip-bad"] if skip_bad else []
    output.print(f"go on with:  {shlex.join([*command, '--resume'])}")
