"""`tinysight preview`: what a recipe's augmentation makes of images."""

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
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("preview.png"),
    images: Annotated[int, typer.Option(min=1, max=50, help="How many training images to show.")] = 6,
    copies: Annotated[int, typer.Option(min=1, max=20, help="Augmented versions of each.")] = 5,
    files: Annotated[
        Path | None, typer.Option(help="Also write the augmented versions as JPEG files into this folder.")
    ] = None,
    seed: SeedOption = 0,
    changes: SetOption = [],  # noqa: B006  (typer copies it)
    skip_bad: SkipBadOption = False,
) -> None:
    """Draw a grid of augmented training images."""
    from tinysight.recipes import loading

    settled = loading.load(recipe, changes)

    from tinysight.augmentation.preview import preview as draw
    from tinysight.augmentation.preview import save_files
    from tinysight.data.load import load
    from tinysight.data.show import write_picture

    dataset = load(data, settled.data.image_size, data_dir, skip_bad, progress)
    for remark in dataset.remarks:
        progress.note(remark)
    pixels = dataset.train.pixels[:images]
    names = [dataset.class_names[label] for label in dataset.train.labels[:images]]
    write_picture(draw(pixels, names, settled.augmentation, copies, seed), out)
    output.print(f"picture: {out}")
    if files:
        written = save_files(pixels, settled.augmentation, files, copies, seed, progress)
        output.print(f"files:   {len(written)} in {files}")
