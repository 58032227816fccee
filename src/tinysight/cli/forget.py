"""`tinysight forget`: exact unlearning by retraining without some images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight import api
from tinysight._util.console import escape_control, stdout_console
from tinysight.cli.options import DataDirOption, RunArgument, RunDataOption
from tinysight.cli.output import command, print_next
from tinysight.cli.progress import progress


def forget(
    run: RunArgument,
    images: Annotated[
        list[str], typer.Argument(metavar="IDS...", help="Image ids such as train/17, or CSV files of ids.")
    ],
    out: Annotated[Path | None, typer.Option(help="New run directory; default: RUN-forgotten.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted `forget`.")] = False,
    data: RunDataOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Retrain RUN from scratch without the given images, and write a record of the removal.

    Example: tinysight forget runs/fast-1 train/17
    """
    from tinysight.data.image_ids import read_image_ids

    ids = [id_ for value in images for id_ in (read_image_ids(Path(value)) if value.endswith(".csv") else (value,))]
    retrained = api.forget(run, ids, out=out, resume=resume, dataset=data, data_dir=data_dir, progress=progress)
    if retrained.summary().status == "interrupted":
        print_next(command("forget", run, *images, "--out", retrained.path, "--resume"))
        raise typer.Exit(1)

    from tinysight.auditing.unlearning import report_lines
    from tinysight.runs.artifacts import RunArtifacts

    record = RunArtifacts(retrained).unlearning()
    if record:
        for line in report_lines(record):
            stdout_console.print(escape_control(line))
    stdout_console.print(f"run:  {retrained.path}")
    print_next(command("evaluate", retrained.path))
