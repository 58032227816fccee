"""`tinysight tune`: hyperparameter search for a recipe."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tinysight._util import optional_deps
from tinysight._util.console import escape_control, progress, stdout_console
from tinysight._util.formatting import percent
from tinysight._util.platform import join_command
from tinysight.cli.options import (
    DataDirOption,
    DataOption,
    DeviceChoice,
    DeviceOption,
    EpochsOption,
    PrecisionChoice,
    PrecisionOption,
    RecipeArgument,
    SeedOption,
    SetOption,
    SkipUnreadableOption,
    next_free_run,
)

if TYPE_CHECKING:
    from tinysight.tuning.tune import TuneResult

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
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.auto,
    overrides: SetOption = [],  # noqa: B006  (typer copies it)
    skip_unreadable: SkipUnreadableOption = False,
) -> None:
    """Search RECIPE's hyperparameters on the validation split and save the best as a recipe."""
    start_time = time.perf_counter()
    optional_deps.require("optuna", extra="scale")

    from tinysight.recipes import loading

    resolved = loading.load_with_overrides(recipe, overrides, epochs)  # before the slow import of torch

    from tinysight.data import load
    from tinysight.tuning.setup import TuneRequest, check_available_or_same, check_tunable
    from tinysight.tuning.tune import tune as run_study

    check_tunable(resolved)
    path, argument = out or next_free_run(f"{resolved.name}-tuned"), load.resolve_source(data)
    request = TuneRequest(resolved, argument, seed, precision.value, device.value, data_dir, skip_unreadable)
    check_available_or_same(path, request)  # before loading the images
    dataset = load.load(argument, resolved.data.image_size, data_dir, skip_unreadable, progress)
    for note in dataset.notes:
        progress.note(note)
    tuned = run_study(path, request, dataset, minutes, start_time, workers, progress)
    _print_study(tuned, path, argument)
    if tuned.interrupted:
        command = ["tinysight", *sys.argv[1:], *([] if out else ["--out", str(path)])]
        stdout_console.print(f"resume with: {join_command(command)}")
        raise typer.Exit(1)


def _print_study(tuned: TuneResult, path: Path, data: str) -> None:
    from tinysight.tuning.results import best_recipe_path, summarize

    table = Table("trial", "accuracy", "changes to the recipe", box=None, pad_edge=False)
    for trial in tuned.top_trials(_TABLE_ROWS):
        table.add_row(str(trial.number), percent(trial.accuracy), escape_control(tuned.describe_changes(trial)))
    stdout_console.print(table)
    for sentence in summarize(tuned.study, tuned.selection):
        stdout_console.print(sentence)
    stdout_console.print(f"files: {best_recipe_path(path)}, trials.jsonl, plots")
    stdout_console.print(
        f"next:  tinysight train {join_command([str(best_recipe_path(path))])} --data {join_command([data])}"
    )
