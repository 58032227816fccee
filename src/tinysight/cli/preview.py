"""`tinysight preview`: a grid of augmented training images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight.cli.options import DataDirOption, DataOption, RecipeArgument, SeedOption, SetOption, SkipBadOption
from tinysight.screen.console import output, progress


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
    changes: SetOption = [],  # noqa: B006  (typer copies it)
    skip_bad: SkipBadOption = False,
) -> None:
    """Plot a grid of augmented training images."""
    from tinysight.recipes import loading

    resolved = loading.load(recipe, changes)

    from tinysight.augmentation.preview import preview as draw_grid
    from tinysight.augmentation.preview import save_files
    from tinysight.data.load import load
    from tinysight.data.show import write_picture

    dataset = load(data, resolved.data.image_size, data_dir, skip_bad, progress)
    for note in dataset.remarks:
        progress.note(note)
    pixels = dataset.train.pixels[:images]
    names = [dataset.class_names[label] for label in dataset.train.labels[:images]]
    write_picture(draw_grid(pixels, names, resolved.augmentation, copies, seed), out)
    output.print(f"file:   {out}")
    if files:
        written = save_files(pixels, resolved.augmentation, files, copies, seed, progress)
        output.print(f"copies: {len(written)} in {files}")
