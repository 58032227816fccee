"""Arguments and options shared by several commands."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ONNX_SUFFIX = ".onnx"
_LARGEST_SEED = 2**63 - 1  # signed 64-bit; torch rejects much larger seeds


class PrecisionChoice(StrEnum):
    """Values of --precision."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class DeviceChoice(StrEnum):
    """Values of --device."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A built-in recipe or a TOML file.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory written by `train`.")]
RunOrFileArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory written by `train`, or an ONNX file written by `export`.")
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="cifar10|shapes|DIR",
        help="Built-in dataset, or a folder with one subfolder per class.",
    ),
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
        min=0,
        max=_LARGEST_SEED,
        help="Random seed; results are reproducible on the same machine with the same epochs.",
    ),
]
MinutesOption = Annotated[
    float | None,
    typer.Option("--minutes", metavar="M", min=0.05, help="Time budget in minutes (instead of epochs)."),
]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", min=1, help="Number of epochs; short for --set training.epochs=N.")
]
DeviceOption = Annotated[DeviceChoice, typer.Option("--device", help="auto uses CUDA when available.")]
PrecisionOption = Annotated[
    PrecisionChoice, typer.Option("--precision", help="auto uses bf16 when the hardware supports it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def next_free_run(stem: str) -> Path:
    """Return runs/STEM-N with the first N, from 1, that does not exist."""
    number = 1
    while Path("runs", f"{stem}-{number}").exists():
        number += 1
    return Path("runs", f"{stem}-{number}")
