"""`tinysight tune`: a recipe and some minutes become a better recipe."""

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

_SHOWN = 5  # trials in the table


def tune(
    recipe: RecipeArgument,
    minutes: Annotated[float, typer.Option("--minutes", metavar="M", min=0.05, help="Be done in so many minutes.")],
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder; one that is there is gone on with, or joined.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes of this machine that share the work.")] = 1,
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    device: DeviceOption = Device.auto,
    precision: PrecisionOption = Precision.auto,
    changes: SetOption = [],  # noqa: B006  (typer copies it)
    skip_bad: SkipBadOption = False,
) -> None:
    """Look for better values of RECIPE by trying many on the validation images, and write the best one down."""
    begun = time.perf_counter()
    packages.require("optuna", extra="scale")

    from tinysight.recipes import loading

    asked = loading.changed(recipe, changes, epochs)  # a typing error is answered before torch is there

    from tinysight.data import load
    from tinysight.tuning.beginning import Order, require_free_or_same, require_tunable
    from tinysight.tuning.tune import tune as look

    require_tunable(asked)
    path, argument = out or free_name(f"{asked.name}-tuned"), load.normalise(data)
    order = Order(asked, argument, seed, precision.value, device.value, data_dir, skip_bad)
    require_free_or_same(path, order)  # what can be refused is refused before the images are loaded
    dataset = load.load(argument, asked.data.image_size, data_dir, skip_bad, progress)
    for remark in dataset.remarks:
        progress.note(remark)
    tuned = look(path, order, dataset, minutes, begun, workers, progress)
    _tell(tuned, path, argument)
    if tuned.interrupted:
        command = ["tinysight", *sys.argv[1:], *([] if out else ["--out", str(path)])]
        output.print(f"go on with:  {shlex.join(command)}")
        raise typer.Exit(1)


def _tell(tuned: Tuned, path: Path, data: str) -> None:
    from tinysight.tuning.results import best_path, in_words

    table = Table("trial", "accuracy", "what differs from the recipe as it was", box=None, pad_edge=False)
    for trial in tuned.best(_SHOWN):
        table.add_row(str(trial.number), f"{trial.accuracy:.4f}", shown(tuned.told(trial)))
    output.print(table)
    for sentence in in_words(tuned.study, tuned.verdict):
        output.print(sentence)
    output.print(f"files: {best_path(path)}, trials.jsonl and plots beside it")
    output.print(f"next:  tinysight train {shlex.quote(str(best_path(path)))} --data {shlex.quote(data)}")
