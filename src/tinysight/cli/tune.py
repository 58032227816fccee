"""`tinysight tune`: hyperparameter search for a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tinysight import api
from tinysight._util.console import escape_control, stdout_console
from tinysight._util.formatting import percent
from tinysight.cli.options import (
    DataDirOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    PrecisionOption,
    RecipeArgument,
    SeedOption,
    SetOption,
    SkipUnreadableOption,
)
from tinysight.cli.output import command, print_next, print_resume
from tinysight.cli.progress import progress

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
    workers: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Number of processes on this machine.")] = 1,
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    overrides: SetOption = [],  # noqa: B006  (typer copies it)
    skip_unreadable: SkipUnreadableOption = False,
) -> None:
    """Search RECIPE's hyperparameters on the validation split and save the best as a recipe.

    Example: tinysight tune fast-73 --data shapes --minutes 10
    """
    tuned = api.tune(
        recipe,
        data,
        minutes=minutes,
        out=out,
        workers=workers,
        seed=seed,
        epochs=epochs,
        overrides=overrides,
        device=device,
        precision=precision,
        data_dir=data_dir,
        skip_unreadable=skip_unreadable,
        progress=progress,
    )
    _print_study(tuned)
    if tuned.interrupted:
        print_resume(*([] if out else ["--out", str(tuned.study.path)]))
        raise typer.Exit(1)

    from tinysight.tuning.results import best_recipe_path

    print_next(command("train", best_recipe_path(tuned.study.path), "--data", data))


def _print_study(tuned: TuneResult) -> None:
    from tinysight.tuning.results import best_recipe_path, summarize

    table = Table("trial", tuned.study.record.measure, "changes to the recipe", box=None, pad_edge=False)
    for trial in tuned.top_trials(_TABLE_ROWS):
        table.add_row(str(trial.number), percent(trial.score), escape_control(tuned.describe_changes(trial)))
    stdout_console.print(table)
    for sentence in summarize(tuned.study, tuned.selection):
        stdout_console.print(sentence)
    stdout_console.print(f"files: {best_recipe_path(tuned.study.path)}, trials.jsonl, plots")
