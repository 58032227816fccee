"""`tinysight summary`: the table of layers of a recipe's network, or of a run's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinysight.screen.console import output


def summary(
    what: Annotated[str, typer.Argument(metavar="RECIPE|RUN", help="A recipe, or a run directory.")],
    classes: Annotated[int, typer.Option(min=2, max=100_000, help="Classes, for a recipe; CIFAR-10 has ten.")] = 10,
) -> None:
    """Print layers, output shapes and parameter counts."""
    from tinysight.recipes import loading

    if Path(what).is_dir():
        from tinysight.runs.run import Run

        classifier = Run.open(Path(what)).classifier()
        network, size = classifier.network, classifier.image_size
    else:
        recipe = loading.load(what)
        from tinysight.models.registry import build

        size = recipe.data.image_size
        network = build(recipe.model, classes, size)

    from tinysight.models.summary import count, rows

    table = Table("layer", "output shape", title=what)
    table.add_column("parameters", justify="right")
    for row in rows(network, size):
        table.add_row(row.layer, row.output, f"{row.parameters:,}")
    output.print(table)
    output.print(f"parameters: {count(network):,}")
