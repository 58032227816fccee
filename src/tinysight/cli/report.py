"""`tinysight report`: write an HTML report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight.cli.options import DataDirOption, RunArgument
from tinysight.screen.console import output, progress


def report(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option(help="HTML file to write; default: RUN/report.html.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write an HTML report of RUN: setup, results, calibration and audit."""
    from tinysight.evaluation.telling import report as render
    from tinysight.files import write_text
    from tinysight.runs.evidence import Evidence
    from tinysight.runs.run import Run

    opened = Run.open(run)
    html = render(opened, data_dir, progress)
    if out:
        write_text(out, html)
    output.print(f"page: {out or Evidence(opened).write_report(html)}")
