"""`tinysight forget`: exact unlearning by retraining without some images."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tinysight.cli.options import DataDirOption, RunArgument
from tinysight.screen.console import output, progress, shown


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
    from tinysight.audit.forgetting import forget as retrain_without
    from tinysight.audit.forgetting import in_words
    from tinysight.data.names import read_names
    from tinysight.runs.evidence import Evidence
    from tinysight.runs.run import Run

    ids = [id_ for value in images for id_ in (read_names(Path(value)) if value.endswith(".csv") else (value,))]
    path = out or run.with_name(f"{run.name}-forgotten")
    summary = retrain_without(Run.open(run), ids, path, data_dir, resume, progress)
    if summary.status == "interrupted":
        command = ["tinysight", "forget", str(run), *images, "--out", str(path), "--resume"]
        output.print(f"resume with: {shlex.join(command)}")
        raise typer.Exit(1)
    record = Evidence(Run(path)).forgetting()
    if record:
        for line in in_words(record):
            output.print(shown(line))
    output.print(f"run:  {path}")
