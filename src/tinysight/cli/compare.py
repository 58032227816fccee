"""`tinysight compare`: significance tests between runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinysight.cli.options import DataDirOption
from tinysight.screen.console import output, progress, shown


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Evaluated run directories.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("compare.html"),
    data_dir: DataDirOption = None,
) -> None:
    """Test whether accuracies differ significantly, and write a page of the images where runs disagree."""
    from tinysight.evaluation.compare import compare_runs
    from tinysight.evaluation.images import images_of
    from tinysight.files import write_text
    from tinysight.reporting.comparison import comparison
    from tinysight.runs.run import Run

    opened = [Run.open(run) for run in runs]
    results = compare_runs(opened)
    table = Table("run", "compared with", "difference", "95 % interval", "p-value", box=None, pad_edge=False)
    for pair in results.comparisons:
        low, high = pair.interval
        p_value = f"{pair.p_corrected:.2g}" if pair.p_corrected >= 1e-4 else "less than 0.0001"
        difference = f"{pair.difference:+.2%}"
        table.add_row(shown(pair.first), shown(pair.second), difference, f"{low:+.2%} to {high:+.2%}", p_value)
    output.print(table)
    dataset = images_of(opened[0], data_dir, progress)
    only_correct = {name: results.only_right(name) for name in results.runs}
    html = comparison(results.runs, results.comparisons, only_correct, results.answers, dataset, results.split)
    write_text(out, html)
    output.print(f"page: {out}")
