"""The arguments and options that several verbs share, spelled once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ONNX = ".onnx"
_LARGEST_SEED = 2**63 - 1  # the largest signed 64-bit integer; torch refuses what is much larger


class Precision(StrEnum):
    """What --precision takes."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class Device(StrEnum):
    """What --device takes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe, or a TOML file.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory that `train` left.")]
RunOrFileArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory that `train` left, or an ONNX file that `export` wrote.")
]
DataOption = Annotated[
    str,
    typer.Option("--data", metavar="cifar10|shapes|DIR", help="The images: a built-in set, or a folder of classes."),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="TINYSIGHT_DATA_DIR", help="Where CIFAR-10 lies, if not in the usual places."),
]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe, e.g. training.epochs=5.")
]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Go on without pictures that cannot be read.")]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=_LARGEST_SEED, help="Same seed, same machine, same epochs: same result.")
]
MinutesOption = Annotated[
    float | None,
    typer.Option("--minutes", metavar="M", min=0.05, help="Be done in so many minutes, instead of after N epochs."),
]
EpochsOption = Annotated[int | None, typer.Option("--epochs", min=1, help="The same as --set training.epochs=N.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto: the graphics card, if there is one.")]
PrecisionOption = Annotated[Precision, typer.Option("--precision", help="auto: bf16 where the processor has it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def free_name(stem: str) -> Path:
    """Return runs/STEM-N with the first N that is free."""
    number = 1
    while Path("runs", f"{stem}-{number}").exists():
        number += 1
    return Path("runs", f"{stem}-{number}")
