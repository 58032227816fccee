"""`tinysight data`: inspect a dataset, show an image, download CIFAR-10."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from tinysight import api
from tinysight._util.console import escape_control, stdout_console
from tinysight.cli.options import DataDirOption, DataOption, SkipUnreadableOption
from tinysight.cli.output import command, print_next
from tinysight.cli.progress import progress
from tinysight.cli.usage import HelpfulCommand, HelpfulGroup

if TYPE_CHECKING:
    from tinysight.data.dataset import Dataset
    from tinysight.data.inspection import FileSizes
    from tinysight.evaluation.spurious_cues import SpuriousCues

_BAR_LENGTH = 20  # characters

app = typer.Typer(cls=HelpfulGroup, help="Inspect a dataset, or download CIFAR-10.")


@app.command(cls=HelpfulCommand)
def info(
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    skip_unreadable: SkipUnreadableOption = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PNG file to write: a row of training images for each class.")
    ] = None,
) -> None:
    """Print counts per class, image sizes, and what is used, skipped and suspicious.

    The built-in `shapes` dataset has options for its size and for injected defects (fractions, 0 to 1) to test audits:
    shapes:train=500,wrong-labels=0.05,background=0.5,near-duplicates=0.1

    Example: tinysight data info --data shapes
    """
    from tinysight.data.display import contact_sheet, save_png
    from tinysight.data.inspection import file_sizes
    from tinysight.evaluation.spurious_cues import find_spurious_cues

    dataset = api.load_dataset(data, data_dir=data_dir, skip_unreadable=skip_unreadable, progress=progress)
    if sheet is not None:
        save_png(contact_sheet(dataset), sheet)
    stdout_console.print(_counts_table(dataset))
    official = {True: "yes", False: "no (checksum differs)", None: "unknown (no checksum published)"}
    sizes = file_sizes(dataset)
    rows = [
        ("fingerprint", dataset.fingerprint),
        ("source", dataset.source),
        ("official", official[dataset.is_official]),
        *([("file sizes", _sizes_text(sizes))] if sizes else []),
        *dataset.report.lines(),
        *(("cue", text) for text in _cue_texts(find_spurious_cues(dataset))),
        *(("note", note) for note in dataset.notes),
        *([("sheet", str(sheet))] if sheet else []),
    ]
    for heading, text in rows:
        stdout_console.print(f"{heading + ':':<13}{escape_control(text)}")
    print_next(command("train", "fast", "--data", data, "--minutes", "2"))


def _counts_table(dataset: Dataset) -> Table:
    """Return the images of each class by split, with a bar for their sum."""
    from tinysight.data.display import counts_table

    height, width = dataset.image_size
    title = f"{escape_control(dataset.name)}: {len(dataset.class_names)} classes, {height}x{width} RGB"
    table = Table("class", title=title)
    for split in ("train", "validation", "test"):
        table.add_column(split, justify="right")
    table.add_column("")
    rows = counts_table(dataset)
    largest = max(sum(row[1:]) for row in rows)
    bar = "█" if stdout_console.encoding.lower().startswith("utf") else "#"
    for row in rows:
        length = max(1, round(_BAR_LENGTH * sum(row[1:]) / max(1, largest)))
        table.add_row(escape_control(row.name), *(f"{count:,}" for count in row[1:]), bar * length)
    return table


def _cue_texts(cues: SpuriousCues | None) -> list[str]:
    """Return a line for each cue that tells the class, or one that there is none."""
    if cues is None:
        return []
    names = ", ".join(score.name for score in cues.scores)
    texts = [score.describe(cues.chance) for score in cues.found]
    return texts or [f"none of {names} tells the class (n = {cues.n:,} training images)"]


def _sizes_text(sizes: FileSizes) -> str:
    width, height = (f"{low} to {high} (median {median:g})" for low, median, high in (sizes.width, sizes.height))
    return f"width {width}, height {height} pixels; n = {sizes.n_files:,}"


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
    from tinysight.data.labels import describe_label

    dataset = api.load_dataset(data, data_dir=data_dir, skip_unreadable=skip_unreadable, progress=progress)
    split: Literal["train", "test"] = "test" if test else "train"
    enlarged = captioned_image(dataset, index, split)
    label = describe_label((dataset.test if test else dataset.train).labels[index], dataset.class_names)
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
