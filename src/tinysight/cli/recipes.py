"""`tinysight recipes`: list, show, copy and check recipes."""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinysight._util.console import stdout_console
from tinysight.cli.options import MinutesOption, RecipeArgument, SetOption

app = typer.Typer(help="List, show, copy and check recipes.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the built-in recipes."""
    from tinysight.recipes import catalog, loading

    table = Table("recipe", "network", "epochs", "description", box=None, pad_edge=False)
    for name in catalog.list_recipes():
        recipe = loading.load_recipe(name)
        epochs = "by --minutes" if recipe.model.needs_time_budget else str(recipe.training.epochs)
        table.add_row(name, recipe.model.architecture, epochs, recipe.description)
    stdout_console.print(table)
    stdout_console.print("\nnext: tinysight recipes show NAME, or tinysight train NAME")


@app.command()
def show(recipe: RecipeArgument, minutes: MinutesOption = None) -> None:
    """Print a recipe; with --minutes, resolved for that time budget on CIFAR-10 and this machine."""
    from tinysight.recipes import catalog, loading

    if minutes is None:
        stdout_console.print(catalog.read_recipe(catalog.find_recipe(recipe)), end="")
        return
    resolved = loading.load_recipe(recipe, [f"training.minutes={minutes}"])
    if resolved.model.needs_time_budget:
        from tinysight.training.device import resolve_device
        from tinysight.training.forecast import Workload, forecast_training

        forecast = forecast_training(resolved, Workload.for_cifar10(resolved), device=resolve_device("auto"))
        stdout_console.print(f"# {forecast.describe()}.\n")
        resolved = forecast.recipe
    stdout_console.print(loading.dump_recipe(resolved), end="")


@app.command()
def copy(
    recipe: RecipeArgument,
    to: Annotated[Path | None, typer.Argument(help="File to write; default: NAME.toml in the current folder.")] = None,
) -> None:
    """Copy a recipe to a file that you can edit and train."""
    from tinysight._util.errors import InputError
    from tinysight._util.files import write_text
    from tinysight.recipes import catalog

    source = catalog.find_recipe(recipe)
    target = to or Path(source.name)
    if os.path.lexists(target):
        raise InputError(f"{target}: already exists. Choose another file name.")
    write_text(target, catalog.read_recipe(source))
    stdout_console.print(f"{target}\nnext: edit it, then tinysight train {target}")


@app.command()
def check(recipe: RecipeArgument, overrides: SetOption = []) -> None:  # noqa: B006  (typer copies it)
    """Validate a recipe and print all its values, including defaults."""
    from tinysight.recipes import loading

    stdout_console.print(loading.dump_recipe(loading.load_recipe(recipe, overrides)), end="")
