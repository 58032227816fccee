"""`tinysight data`: what images there are, one of them enlarged, and the download of CIFAR-10."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from tinysight.cli.console import output, progress
from tinysight.cli.options import DataDirOption, DataOption, SkipBadOption

app = typer.Typer(help="Look at the images, or download CIFAR-10.", no_args_is_help=True)


@app.command()
def info(data: DataOption = "cifar10", data_dir: DataDirOption = None, skip_bad: SkipBadOption = False) -> None:
    """Print shapes, counts by class, fingerprint and source."""
    from tinysight.data.load import load
    from tinysight.data.show import counts_table

    dataset = load(data, data_dir=data_dir, skip_bad=skip_bad, progress=progress)
    height, width = dataset.image_size
    table = Table("class", title=f"{dataset.name}: {len(dataset.class_names)} classes, {height}x{width} RGB")
    for split in ("train", "validation", "test"):
        table.add_column(split, justify="right")
    for row in counts_table(dataset):
        table.add_row(row[0], *(f"{count:,}" for count in row[1:]))
    output.print(table)
    published = {True: "yes", False: "no: the bytes differ from the published ones", None: "nothing to check against"}
    output.print(f"fingerprint: {dataset.fingerprint}")
    output.print(f"source:      {dataset.source}")
    output.print(f"published:   {published[dataset.published]}")
    for remark in dataset.remarks:
        output.print(f"note:        {remark}")


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
    output.print(f"{split} image {index}: {label}\npicture: {path}")


@app.command()
def download() -> None:
    """Fetch CIFAR-10 into the cache, unless it is there."""
    from tinysight.data.cifar10 import published

    place = published.install(progress)
    output.print(f"CIFAR-10 is in {place}\nnext: tinysight data info")
