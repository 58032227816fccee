"""Arguments and options shared by several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

ONNX_SUFFIX = ".onnx"
_LARGEST_SEED = 2**63 - 1  # signed 64-bit; torch rejects much larger seeds


def complete_recipe() -> list[str]:
    """Return the built-in recipes and the recipe files here, for shell completion."""
    from tinysight.recipes.catalog import list_recipes

    return [*list_recipes(), *(path.name for path in Path().glob("*.toml"))]


def complete_run(incomplete: str) -> list[str]:
    """Return the runs in the typed folder and in runs/, for shell completion."""
    from tinysight.runs.find import RUNS_DIR, list_runs

    folder = Path(f"{incomplete}x").parent  # also that of "runs/"
    return [str(run) for run in dict.fromkeys([*list_runs(folder), *list_runs(RUNS_DIR)])]


def _check_seed(seed: int) -> int:
    """Return the seed; a `max` of the option would fill the help with 19 digits."""
    if seed > _LARGEST_SEED:
        raise typer.BadParameter("the largest seed is 2**63 - 1")
    return seed


RecipeArgument = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A built-in recipe or a TOML file.", autocompletion=complete_recipe),
]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory written by `train`.", autocompletion=complete_run)
]
RunOrFileArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run directory written by `train`, or an ONNX file written by `export`.",
        autocompletion=complete_run,
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="cifar10|shapes|DIR|FILE.zip|FILE.csv",
        help="Built-in dataset, a folder or zip file with one subfolder per class, or a CSV file of images and labels.",
    ),
]
RunDataOption = Annotated[
    str | None,
    typer.Option("--data", metavar="DIR", help="The images of RUN, if they have moved or others were added."),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="TINYSIGHT_DATA_DIR", help="Folder of CIFAR-10; default: the usual locations."),
]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe value, e.g. training.epochs=5.")
]
SkipUnreadableOption = Annotated[bool, typer.Option("--skip-unreadable", help="Skip images that cannot be read.")]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        callback=_check_seed,
        help="Random seed; results are reproducible on the same machine with the same epochs.",
    ),
]
MinutesOption = Annotated[
    float | None,
    typer.Option("--minutes", metavar="M", min=0.05, help="Time budget in minutes (instead of epochs)."),
]
EpochsOption = Annotated[
    int | None,
    typer.Option("--epochs", metavar="N", min=1, help="Number of epochs; short for --set training.epochs=N."),
]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option("--device", help="auto uses CUDA when available.")
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16"], typer.Option("--precision", help="auto uses bf16 when the hardware supports it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
