"""`tinysight preview`: a grid of augmented training images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight._util.console import progress, stdout_console
from tinysight.cli.options import DataDirOption, DataOption, RecipeArgument, SeedOption, SetOption, SkipUnreadableOption


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
    """Plot a grid of augmented training images."""
    from tinysight.recipes import loading

    resolved = loading.load_recipe(recipe, overrides)

    from tinysight.augmentation.preview import render_preview as draw_grid
    from tinysight.augmentation.preview import save_augmented_images
    from tinysight.data.display import save_png
    from tinysight.data.load import load

    dataset = load(data, resolved.data.image_size, data_dir, skip_unreadable, progress)
    for note in dataset.notes:
        progress.note(note)
    pixels = dataset.train.pixels[:images]
    names = [dataset.class_names[label] for label in dataset.train.labels[:images]]
    save_png(draw_grid(pixels, names, resolved.augmentation, copies, seed), out)
    stdout_console.print(f"file:   {out}")
    if files:
        written = save_augmented_images(pixels, resolved.augmentation, files, copies, seed, progress)
        stdout_console.print(f"copies: {len(written)} in {files}")
