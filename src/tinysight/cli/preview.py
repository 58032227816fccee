"""`tinysight preview`: a grid of augmented training images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight import api
from tinysight._util.console import stdout_console
from tinysight.cli.options import DataDirOption, DataOption, RecipeArgument, SeedOption, SetOption, SkipUnreadableOption
from tinysight.cli.output import command, print_next
from tinysight.cli.progress import progress


def preview(
    recipe: RecipeArgument,
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    out: Annotated[Path, typer.Option(help="Image file to write.")] = Path("preview.png"),
    images: Annotated[int, typer.Option(min=1, max=50, help="Number of training images.")] = 6,
    copies: Annotated[int, typer.Option(min=1, max=20, help="Augmented copies of each image.")] = 5,
    files: Annotated[
        Path | None, typer.Option(help="Also save the augmented copies as JPEG files in this folder.")
    ] = None,
    seed: SeedOption = 0,
    overrides: SetOption = [],  # noqa: B006  (typer copies it)
    skip_unreadable: SkipUnreadableOption = False,
) -> None:
    """Plot a grid of augmented training images.

    Example: tinysight preview deep-augmented --data shapes
    """
    api.preview(
        recipe,
        data,
        out=out,
        images=images,
        copies=copies,
        files=files,
        seed=seed,
        overrides=overrides,
        data_dir=data_dir,
        skip_unreadable=skip_unreadable,
        progress=progress,
    )
    stdout_console.print(f"file:   {out}")
    if files:
        stdout_console.print(f"copies: {len(list(files.glob('*.jpg')))} in {files}")
    print_next(command("train", recipe, "--data", data))
