"""`tinysight report`: a run, told in one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight.cli.options import DataDirOption, RunArgument
from tinysight.screen.console import output, progress


def report(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option(help="The page to write; default RUN/report.html.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write one HTML page that tells what was asked, what came out, and how far to trust it."""
    from tinysight.evaluation.telling import report as page
    from tinysight.files import write_text
    from tinysight.runs.evidence import Evidence
    from tinysight.runs.run import Run

    opened = Run.open(run)
    text = page(opened, data_dir, progress)
    if out:
        write_text(out, text)
    output.print(f"page: {out or Evidence(opened).write_report(text)}")
