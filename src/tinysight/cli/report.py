"""`tinysight report`: write an HTML report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight import api
from tinysight._util.console import stdout_console
from tinysight.cli.options import DataDirOption, RunArgument, RunDataOption
from tinysight.cli.output import print_next
from tinysight.cli.progress import progress


def report(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option(help="HTML file to write; default: RUN/report.html.")] = None,
    data: RunDataOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write an HTML report of RUN: setup, results, calibration and audit.

    Example: tinysight report runs/fast-1
    """
    api.report(run, out=out, dataset=data, data_dir=data_dir, progress=progress)
    page = out or run / "report.html"
    stdout_console.print(f"page: {page}")
    print_next(f"open {page} in a browser")
