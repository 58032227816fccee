"""`tinysight forget`: exact unlearning by retraining without some images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight._util.console import escape_control, progress, stdout_console
from tinysight._util.platform import join_command
from tinysight.cli.options import DataDirOption, RunArgument


def forget(
    run: RunArgument,
    images: Annotated[
        list[str], typer.Argument(metavar="IDS...", help="Image ids such as train/17, or CSV files of ids.")
    ],
    out: Annotated[Path | None, typer.Option(help="New run directory; default: RUN-forgotten.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted `forget`.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Retrain RUN from scratch without the given images, and record the evidence."""
    from tinysight.auditing.unlearning import forget as retrain_without
    from tinysight.auditing.unlearning import report_lines
    from tinysight.data.image_ids import read_image_ids
    from tinysight.runs.artifacts import RunArtifacts
    from tinysight.runs.run import Run

    ids = [id_ for value in images for id_ in (read_image_ids(Path(value)) if value.endswith(".csv") else (value,))]
    path = out or run.with_name(f"{run.name}-forgotten")
    summary = retrain_without(Run.open(run), ids, path, data_dir, resume, progress)
    if summary.status == "interrupted":
        command = ["tinysight", "forget", str(run), *images, "--out", str(path), "--resume"]
        stdout_console.print(f"resume with: {join_command(command)}")
        raise typer.Exit(1)
    record = RunArtifacts(Run(path)).unlearning()
    if record:
        for line in report_lines(record):
            stdout_console.print(escape_control(line))
    stdout_console.print(f"run:  {path}")
