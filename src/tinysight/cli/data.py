"""`tinysight data`: inspect a dataset, show an image, download CIFAR-10."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from tinysight.cli.options import DataDirOption, DataOption, SkipBadOption
from tinysight.screen.console import output, progress, shown

app = typer.Typer(help="Inspect a dataset, or download CIFAR-10.", no_args_is_help=True)


@app.command()
def info(data: DataOption = "cifar10", data_dir: DataDirOption = None, skip_bad: SkipBadOption = False) -> None:
    """Print image size, counts per class, fingerprint and source.

    The built-in `shapes` dataset has options for its size and for injected defects (fractions, 0 to 1) to test audits:
    shapes:train=500,wrong-labels=0.05,background=0.5,near-duplicates=0.1
    """
    from tinysight.data.load import load
    from tinysight.data.show import counts_table

    dataset = load(data, data_dir=data_dir, skip_bad=skip_bad, progress=progress)
    height, width = dataset.image_size
    title = f"{shown(dataset.name)}: {len(dataset.class_names)} classes, {height}x{width} RGB"
    table = Table("class", title=title)
    for split in ("train", "validation", "test"):
        table.add_column(split, justify="right")
    for row in counts_table(dataset):
        table.add_row(shown(row.name), *(f"{count:,}" for count in row[1:]))
    output.print(table)
    official = {True: "yes", False: "no (checksum differs)", None: "unknown (no checksum published)"}
    output.print(f"fingerprint: {dataset.fingerprint}")
    output.print(f"source:      {shown(dataset.source)}")
    output.print(f"official:    {official[dataset.published]}")
    for note in dataset.remarks:
        output.print(f"note:        {shown(note)}")


@app.command()
def show(
    index: Annotated[int, typer.Argument(help="Index of the image, from 0.")],
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    test: Annotated[
        bool, typer.Option("--test", help="Take the image from the test split instead of the training split.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Image file to write; default: SPLIT-INDEX.png.")] = None,
    skip_bad: SkipBadOption = False,
) -> None:
    """Save an enlarged image with its label."""
    from tinysight.data.load import load
    from tinysight.data.show import picture, write_picture

    dataset = load(data, data_dir=data_dir, skip_bad=skip_bad, progress=progress)
    split: Literal["train", "test"] = "test" if test else "train"
    enlarged = picture(dataset, index, split)
    label = dataset.class_names[(dataset.test if test else dataset.train).labels[index]]
    path = out or Path(f"{split}-{index}.png")
    write_picture(enlarged, path)
    for note in dataset.remarks:
        progress.note(note)
    output.print(f"{split} image {index}: {shown(label)}\nfile: {path}")


@app.command()
def download() -> None:
    """Download CIFAR-10 into the cache, unless it is already there."""
    from tinysight.data.cifar10 import published

    folder = published.install(progress)
    output.print(f"CIFAR-10 is in {folder}\nnext: tinysight data info")
