"""`tinysight audit`: check a run for bias, label errors and privacy leakage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight.cli.options import DataDirOption, RunArgument
from tinysight.screen.console import output, progress, shown


def audit(
    run: RunArgument,
    groups: Annotated[
        Path | None, typer.Option(help="CSV file: a column `image`, and one column per grouping of the test images.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.05, metavar="M", help="Time budget in minutes; default: as long as four shadow models take."
        ),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Audit RUN: near-duplicates, subgroup gaps, label errors, privacy leakage."""
    from tinysight.audit.audit import audit as run_audit
    from tinysight.reporting.telling import told
    from tinysight.runs.evidence import Evidence
    from tinysight.runs.run import Run

    opened = Run.open(run)
    results = run_audit(opened, minutes, groups, data_dir, progress)
    for note in opened.summary().remarks:
        progress.note(note)
    for heading, text in told(results).items():
        output.print(shown(f"{heading + ':':<18}{text}"))
    output.print(f"files: {run / 'audit.json'}")
    if results.labels:
        output.print(
            f"       {Evidence(opened).labels_path} (exclude these images with `train --set data.exclude=...`)"
        )
    output.print(f"next:  tinysight report {run}")
