"""`tinysight compare`: significance tests between runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinysight._util.console import escape_control, progress, stdout_console
from tinysight._util.formatting import points
from tinysight.cli.options import DataDirOption


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Evaluated run directories.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("compare.html"),
    data_dir: DataDirOption = None,
) -> None:
    """Test whether accuracies differ significantly, and write a page of the images where runs disagree."""
    from tinysight._util.files import write_text
    from tinysight.evaluation.significance import compare_runs
    from tinysight.reporting.comparison import render_comparison
    from tinysight.runs.run import Run
    from tinysight.runs.run_dataset import open_dataset

    opened = [Run.open(run) for run in runs]
    results = compare_runs(opened)
    table = Table("run", "compared with", "difference (points)", "95% interval", "p-value", box=None, pad_edge=False)
    for pair in results.comparisons:
        low, high = pair.interval
        p_value = f"{pair.p_value_holm:.2g}" if pair.p_value_holm >= 1e-4 else "less than 0.0001"
        interval = f"{points(low)} to {points(high)}"
        table.add_row(
            escape_control(pair.first), escape_control(pair.second), points(pair.difference), interval, p_value
        )
    stdout_console.print(table)
    dataset = open_dataset(opened[0], data_dir=data_dir, progress=progress)
    only_correct = {name: results.only_correct(name) for name in results.runs}
    html = render_comparison(
        results.runs, results.comparisons, only_correct, results.predictions, dataset, results.split
    )
    write_text(out, html)
    stdout_console.print(f"page: {out}")
