"""`tinysight data`: what images there are, one of them enlarged, and the download of CIFAR-10."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from tinysight.cli.options import DataDirOption, DataOption, SkipBadOption
from tinysight.screen.console import output, progress, shown

app = typer.Typer(help="Look at the images, or download CIFAR-10.", no_args_is_help=True)


@app.command()
def info(data: DataOption = "cifar10", data_dir: DataDirOption = None, skip_bad: SkipBadOption = False) -> None:
    """Print shapes, counts by class, fingerprint and source.

    The built-in shapes come in any number and, to check audits by, with flaws planted on purpose (shares, 0 to 1):
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
    published = {True: "yes", False: "no: the bytes differ from the published ones", None: "nothing to check against"}
    output.print(f"fingerprint: {dataset.fingerprint}")
    output.print(f"source:      {shown(dataset.source)}")
    output.print(f"published:   {published[dataset.published]}")
    for remark in dataset.remarks:
        output.print(f"note:        {shown(remark)}")


@app.command()
def show(
    index: Annotated[int, typer.Argument(help="Which image, counted from 0.")],
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    test: Annotated[bool, typer.Option("--test", help="An image of the test set instead of the training set.")] = False,
    out: Annotated[Path | None, typer.Option(help="The picture to write; default SPLIT-INDEX.png.")] = None,
    skip_bad: SkipBadOption = False,
) -> None:
    """Write one image, enlarged, with its label."""
    from tinysight.data.load import load
    from tinysight.data.show import picture, write_picture

    dataset = load(data, data_dir=data_dir, skip_bad=skip_bad, progress=progress)
    split: Literal["train", "test"] = "test" if test else "train"
    drawn = picture(dataset, index, split)
    label = dataset.class_names[(dataset.test if test else dataset.train).labels[index]]
    path = out or Path(f"{split}-{index}.png")
    write_picture(drawn, path)
    for remark in dataset.remarks:
        progress.note(remark)
    output.print(f"{split} image {index}: {shown(label)}\npicture: {path}")


@app.command()
def download() -> None:
    """Fetch CIFAR-10 into the cache, unless it is there."""
    from tinysight.data.cifar10 import published

    place = published.install(progress)
    output.print(f"CIFAR-10 is in {place}\nnext: tinysight data info")
