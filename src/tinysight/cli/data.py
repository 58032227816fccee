"""`tinysight data`: inspect a dataset, show an image, download CIFAR-10."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from tinysight import api
from tinysight._util.console import escape_control, progress, stdout_console
from tinysight.cli.options import DataDirOption, DataOption, SkipUnreadableOption
from tinysight.cli.output import command, print_next
from tinysight.cli.usage import HelpfulCommand, HelpfulGroup

app = typer.Typer(cls=HelpfulGroup, help="Inspect a dataset, or download CIFAR-10.")


@app.command(cls=HelpfulCommand)
def info(
    data: DataOption = "cifar10", data_dir: DataDirOption = None, skip_unreadable: SkipUnreadableOption = False
) -> None:
    """Print image size, counts per class, fingerprint and source.

    The built-in `shapes` dataset has options for its size and for injected defects (fractions, 0 to 1) to test audits:
    shapes:train=500,wrong-labels=0.05,background=0.5,near-duplicates=0.1

    Example: tinysight data info --data shapes
    """
    from tinysight.data.display import counts_table

    dataset = api.load_dataset(data, data_dir=data_dir, skip_unreadable=skip_unreadable, progress=progress)
    height, width = dataset.image_size
    title = f"{escape_control(dataset.name)}: {len(dataset.class_names)} classes, {height}x{width} RGB"
    table = Table("class", title=title)
    for split in ("train", "validation", "test"):
        table.add_column(split, justify="right")
    for row in counts_table(dataset):
        table.add_row(escape_control(row.name), *(f"{count:,}" for count in row[1:]))
    stdout_console.print(table)
    official = {True: "yes", False: "no (checksum differs)", None: "unknown (no checksum published)"}
    stdout_console.print(f"fingerprint: {dataset.fingerprint}")
    stdout_console.print(f"source:      {escape_control(dataset.source)}")
    stdout_console.print(f"official:    {official[dataset.is_official]}")
    for note in dataset.notes:
        stdout_console.print(f"note:        {escape_control(note)}")
    print_next(command("train", "fast", "--data", data, "--minutes", "2"))


@app.command(cls=HelpfulCommand)
def show(
    index: Annotated[int, typer.Argument(help="Index of the image, from 0.")],
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    test: Annotated[
        bool, typer.Option("--test", help="Take the image from the test split instead of the training split.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Image file to write; default: SPLIT-INDEX.png.")] = None,
    skip_unreadable: SkipUnreadableOption = False,
) -> None:
    """Save an enlarged image with its label.

    Example: tinysight data show 0 --data shapes
    """
    from tinysight.data.display import captioned_image, save_png

    dataset = api.load_dataset(data, data_dir=data_dir, skip_unreadable=skip_unreadable, progress=progress)
    split: Literal["train", "test"] = "test" if test else "train"
    enlarged = captioned_image(dataset, index, split)
    label = dataset.class_names[(dataset.test if test else dataset.train).labels[index]]
    path = out or Path(f"{split}-{index}.png")
    save_png(enlarged, path)
    for note in dataset.notes:
        progress.note(note)
    stdout_console.print(f"{split} image {index}: {escape_control(label)}\nfile: {path}")
    print_next(command("data", "info", "--data", data))


@app.command(cls=HelpfulCommand)
def download() -> None:
    """Download CIFAR-10 into the cache, unless it is already there.

    Example: tinysight data download
    """
    from tinysight.data.sources.cifar10 import official

    folder = official.download(progress)
    stdout_console.print(f"CIFAR-10 is in {folder}")
    print_next(command("data", "info"))
