"""Options and output shared by the commands that change the images of a run: `add`, `remove` and `relabel`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysight._util.console import escape_control, stdout_console
from tinysight._util.formatting import percent
from tinysight.cli.output import accuracy_of, command, print_next

if TYPE_CHECKING:
    from tinysight.runs.change_record import DatasetChange
    from tinysight.runs.run import Run

ChangedOutOption = Annotated[Path | None, typer.Option(help="New run directory; default: runs/RECIPE-1, -2, ...")]
KnownImagesArgument = Annotated[
    list[str], typer.Argument(metavar="IMAGES...", help="Image files, folders, image ids, or CSV files of ids.")
]


def print_change(run: Run) -> None:
    """Print how the dataset of a new run was changed, the accuracy before and after, and the next step."""
    from tinysight.runs.artifacts import RunArtifacts

    change = RunArtifacts(run).change()
    if change is None:  # interrupted
        recipe, table = run.path / "recipe.toml", run.dataset_table
        seed = str(run.environment().seed)
        print_next(command("train", recipe, "--data", table, "--seed", seed, "--out", run.path, "--resume"))
        raise typer.Exit(1)
    for line in _lines(change):
        stdout_console.print(escape_control(line))
    stdout_console.print(f"run:  {run.path}")
    print_next(command("evaluate", run.path))


def _lines(change: DatasetChange) -> list[str]:
    """Return what was changed and the validation scores, as lines of text."""
    names = {"train": "training"}
    counts = ", ".join(f"{count:,} {names.get(split, split)}" for split, count in change.images.items())
    total = sum(change.images.values())
    label = f" as {change.label!r}" if change.label else ""
    lines = [f"{change.action}: {total:,} {'image' if total == 1 else 'images'}{label} ({counts})"]
    if change.new_classes:
        lines.append(f"new: {', '.join(map(repr, change.new_classes))}")
    if change.removed_classes:
        lines.append(f"no images left, so removed: {', '.join(map(repr, change.removed_classes))}")
    if change.before.score is not None and change.after.score is not None:
        before, after = (accuracy_of(score.score or 0.0, score.n) for score in (change.before, change.after))
        lines.append(f"validation {change.measure}: {before} before, {after} after")
    both = (change.before_on_both, change.after_on_both)
    if both[0] and both[1] and (both[0].n, both[0].n) != (change.before.n, change.after.n):
        before, after = (percent(score.score or 0.0) for score in both if score)
        lines.append(f"on the {both[0].n:,} unchanged validation images: {before} before, {after} after")
    if change.images.get("test"):
        lines.append("The test images are not those of before, so their accuracy cannot be compared image by image.")
    return lines
