"""`tinysight tune`: hyperparameter search for a recipe."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tinysight import packages
from tinysight.cli.options import (
    DataDirOption,
    DataOption,
    Device,
    DeviceOption,
    EpochsOption,
    Precision,
    PrecisionOption,
    RecipeArgument,
    SeedOption,
    SetOption,
    SkipBadOption,
    free_name,
)
from tinysight.screen.console import output, progress, shown

if TYPE_CHECKING:
    from tinysight.tuning.tune import Tuned

_TABLE_ROWS = 5


def tune(
    recipe: RecipeArgument,
    minutes: Annotated[float, typer.Option("--minutes", metavar="M", min=0.05, help="Time budget in minutes.")],
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study; an existing study is resumed or joined.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of processes on this machine.")] = 1,
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    device: DeviceOption = Device.auto,
    precision: PrecisionOption = Precision.auto,
    changes: SetOption = [],  # noqa: B006  (typer copies it)
    skip_bad: SkipBadOption = False,
) -> None:
    """Search RECIPE's hyperparameters on the validation split and save the best as a recipe."""
    start_time = time.perf_counter()
    packages.require("optuna", extra="scale")

    from tinysight.recipes import loading

    resolved = loading.changed(recipe, changes, epochs)  # before the slow import of torch

    from tinysight.data import load
    from tinysight.tuning.beginning import Order, require_free_or_same, require_tunable
    from tinysight.tuning.tune import tune as run_study

    require_tunable(resolved)
    path, argument = out or free_name(f"{resolved.name}-tuned"), load.normalise(data)
    request = Order(resolved, argument, seed, precision.value, device.value, data_dir, skip_bad)
    require_free_or_same(path, request)  # before loading the images
    dataset = load.load(argument, resolved.data.image_size, data_dir, skip_bad, progress)
    for note in dataset.remarks:
        progress.note(note)
    tuned = run_study(path, request, dataset, minutes, start_time, workers, progress)
    _print_study(tuned, path, argument)
    if tuned.interrupted:
        command = ["tinysight", *sys.argv[1:], *([] if out else ["--out", str(path)])]
        output.print(f"resume with: {shlex.join(command)}")
        raise typer.Exit(1)


def _print_study(tuned: Tuned, path: Path, data: str) -> None:
    from tinysight.tuning.results import best_path, in_words

    table = Table("trial", "accuracy", "changes to the recipe", box=None, pad_edge=False)
    for trial in tuned.best(_TABLE_ROWS):
        table.add_row(str(trial.number), f"{trial.accuracy:.4f}", shown(tuned.told(trial)))
    output.print(table)
    for sentence in in_words(tuned.study, tuned.verdict):
        output.print(sentence)
    output.print(f"files: {best_path(path)}, trials.jsonl, plots")
    output.print(f"next:  tinysight train {shlex.quote(str(best_path(path)))} --data {shlex.quote(data)}")
