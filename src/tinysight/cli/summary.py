"""`tinysight summary`: layer table of a recipe's or a run's network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinysight.screen.console import output


def summary(
    source: Annotated[str, typer.Argument(metavar="RECIPE|RUN", help="A recipe or a run directory.")],
    classes: Annotated[int, typer.Option(min=2, max=100_000, help="Number of classes; only for a recipe.")] = 10,
) -> None:
    """Print layers, output shapes and parameter counts."""
    from tinysight.recipes import loading

    if Path(source).is_dir():
        from tinysight.runs.run import Run

        classifier = Run.open(Path(source)).classifier()
        network, size = classifier.network, classifier.image_size
    else:
        recipe = loading.load(source)
        from tinysight.models.registry import build

        size = recipe.data.image_size
        network = build(recipe.model, classes, size)

    from tinysight.models.summary import count, rows

    table = Table("layer", "output shape", title=source)
    table.add_column("parameters", justify="right")
    for row in rows(network, size):
        table.add_row(row.layer, row.output, f"{row.parameters:,}")
    output.print(table)
    output.print(f"parameters: {count(network):,}")
