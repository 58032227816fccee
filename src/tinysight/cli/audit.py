"""`tinysight audit`: check a run for bias, label errors and privacy leakage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight import api
from tinysight._util.console import escape_control, stdout_console
from tinysight.cli.options import DataDirOption, RunArgument, RunDataOption
from tinysight.cli.output import command, print_next
from tinysight.cli.progress import progress

_HINTS = {"groups_file": "pass a file with --groups", "shadow_models": "no time for shadow models; increase --minutes"}


def audit(
    run: RunArgument,
    groups: Annotated[
        Path | None,
        typer.Option(help="CSV file with a column `image`, and one column per attribute of the test images."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.05, metavar="M", help="Time budget in minutes; default: as long as four shadow models take."
        ),
    ] = None,
    data: RunDataOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Audit RUN: near-duplicates, subgroup gaps, label errors, privacy leakage.

    Example: tinysight audit runs/fast-1 --minutes 5
    """
    results = api.audit(run, minutes=minutes, groups=groups, dataset=data, data_dir=data_dir, progress=progress)

    from tinysight.auditing.registry import report_sections
    from tinysight.runs.artifacts import RunArtifacts

    opened = api.open_run(run)
    for note in opened.summary().notes:
        progress.note(note)
    sections = report_sections(opened)
    width = max(len(section.heading) for section in sections) + 2
    for section in sections:
        text = f"not measured: {_HINTS[section.missing]}" if section.missing in _HINTS else section.summary
        stdout_console.print(escape_control(f"{section.heading + ':':<{width}}{text}"))
    stdout_console.print(f"files: {run / 'audit.json'}")
    if "label_issues" in results.sections:
        stdout_console.print(
            f"       {RunArtifacts(opened).label_issues_path} "
            "(exclude these images with `train --set data.exclude_file=...`)"
        )
    print_next(command("report", run))
