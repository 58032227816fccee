"""`tinysight summary`: layer table of a recipe's or a run's network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinysight import api
from tinysight._util.console import stdout_console
from tinysight.cli.output import command, print_next


def summary(
    source: Annotated[str, typer.Argument(metavar="RECIPE|RUN", help="A recipe or a run directory.")],
    classes: Annotated[int, typer.Option(min=2, max=100_000, help="Number of classes; only for a recipe.")] = 10,
) -> None:
    """Print layers, output shapes and parameter counts.

    Example: tinysight summary fast-85
    """
    rows = api.summary(source, classes)
    table = Table("layer", "output shape", title=source)
    table.add_column("parameters", justify="right")
    for row in rows:
        table.add_row(row.layer, row.output, f"{row.parameters:,}")
    stdout_console.print(table)
    stdout_console.print(f"parameters: {sum(row.parameters for row in rows):,}")
    print_next(command("evaluate" if Path(source).is_dir() else "train", source))
