"""`tinysight compare`: significance tests between runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinysight import api
from tinysight._util.console import escape_control, stdout_console
from tinysight._util.formatting import points
from tinysight.cli.options import DataDirOption, RunDataOption, complete_run
from tinysight.cli.output import print_next
from tinysight.cli.progress import progress


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", help="Evaluated run directories.", autocompletion=complete_run),
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("compare.html"),
    data: RunDataOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Test whether accuracies differ significantly, and write a page of the images where runs disagree.

    With several labels per image, the share of the images whose labels are all correct is compared.

    Example: tinysight compare runs/fast-1 runs/fast-2
    """
    results = api.compare(*runs, out=out, dataset=data, data_dir=data_dir, progress=progress)
    table = Table("run", "compared with", "points", "95% interval", "p-value", box=None, pad_edge=False)
    for pair in results.comparisons:
        low, high = pair.interval
        p_value = f"{pair.p_value_holm:.2g}" if pair.p_value_holm >= 1e-4 else "less than 0.0001"
        names = (escape_control(pair.first), escape_control(pair.second))
        table.add_row(*names, points(pair.difference), f"{points(low)} to {points(high)}", p_value)
    stdout_console.print(table)
    if results.measure == "exact match":
        stdout_console.print("Compared: exact match, the share of the images whose labels are all correct.")
    stdout_console.print(f"page: {out}")
    print_next(f"open {out} in a browser")
