"""`tinysight report`: write an HTML report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight._util.console import progress, stdout_console
from tinysight.cli.options import DataDirOption, RunArgument


def report(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option(help="HTML file to write; default: RUN/report.html.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write an HTML report of RUN: setup, results, calibration and audit."""
    from tinysight._util.files import write_text
    from tinysight.auditing.registry import report_sections
    from tinysight.reporting.report import render_report
    from tinysight.runs.artifacts import RunArtifacts
    from tinysight.runs.run import Run
    from tinysight.runs.run_dataset import open_dataset

    opened = Run.open(run)
    html = render_report(opened, open_dataset(opened, data_dir=data_dir, progress=progress), report_sections(opened))
    if out:
        write_text(out, html)
    stdout_console.print(f"page: {out or RunArtifacts(opened).write_report(html)}")
