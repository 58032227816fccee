"""`tinysight compare`: whether one run is better than another, or luckier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinysight.cli.options import DataDirOption
from tinysight.screen.console import output, progress, shown


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run directories that were evaluated.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("compare.html"),
    data_dir: DataDirOption = None,
) -> None:
    """Test whether runs differ by more than chance, and write a page of where they disagree."""
    from tinysight.evaluation.compare import compare_runs
    from tinysight.evaluation.images import images_of
    from tinysight.files import write_text
    from tinysight.reporting.comparison import comparison
    from tinysight.runs.run import Run

    opened = [Run.open(run) for run in runs]
    found = compare_runs(opened)
    table = Table("run", "against", "difference", "95 % interval", "by chance", box=None, pad_edge=False)
    for one in found.comparisons:
        low, high = one.interval
        chance = f"{one.p_corrected:.2g}" if one.p_corrected >= 1e-4 else "less than 0.0001"
        difference = f"{one.difference:+.2%}"
        table.add_row(shown(one.first), shown(one.second), difference, f"{low:+.2%} to {high:+.2%}", chance)
    output.print(table)
    dataset = images_of(opened[0], data_dir, progress)
    only_right = {name: found.only_right(name) for name in found.runs}
    write_text(out, comparison(found.runs, found.comparisons, only_right, found.answers, dataset, found.split))
    output.print(f"page: {out}")
