"""`tinysight audit`: how far a run can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight.cli.options import DataDirOption, RunArgument
from tinysight.screen.console import output, progress, shown


def audit(
    run: RunArgument,
    groups: Annotated[
        Path | None, typer.Option(help="A CSV file: a column `image`, and columns of groups of test images.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.05, metavar="M", help="How long it may take; four shadow models if not said.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Look for twins, gaps between groups, wrong labels and leaks, and fill RUN's audit.json."""
    from tinysight.audit.audit import audit as look
    from tinysight.reporting.telling import told
    from tinysight.runs.evidence import Evidence
    from tinysight.runs.run import Run

    opened = Run.open(run)
    found = look(opened, minutes, groups, data_dir, progress)
    for remark in opened.summary().remarks:
        progress.note(remark)
    for heading, words in told(found).items():
        output.print(shown(f"{heading + ':':<18}{words}"))
    output.print(f"files: {run / 'audit.json'}")
    if found.labels:
        output.print(f"       {Evidence(opened).labels_path}, which `train --set data.exclude=...` leaves out")
    output.print(f"next:  tinysight report {run}")
