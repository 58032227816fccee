"""`tinysight summary`: layer table of a recipe's or a run's network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinysight._util.console import stdout_console


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
        recipe = loading.load_recipe(source)
        from tinysight.models.registry import build_network

        size = recipe.data.image_size
        network = build_network(recipe.model, classes, size)

    from tinysight.models.summary import count_parameters, layer_table

    table = Table("layer", "output shape", title=source)
    table.add_column("parameters", justify="right")
    for row in layer_table(network, size):
        table.add_row(row.layer, row.output, f"{row.parameters:,}")
    stdout_console.print(table)
    stdout_console.print(f"parameters: {count_parameters(network):,}")
