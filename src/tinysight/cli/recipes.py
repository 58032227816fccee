"""`tinysight recipes`: list, show, copy and check recipes."""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import Annotated

import typer

from tinysight._util.console import stdout_console
from tinysight.cli.options import MinutesOption, RecipeArgument, SetOption
from tinysight.cli.output import command, print_next
from tinysight.cli.usage import HelpfulCommand, HelpfulGroup

app = typer.Typer(cls=HelpfulGroup, help="List, show, copy and check recipes.")


@app.command("list", cls=HelpfulCommand)
def list_() -> None:
    """List the built-in recipes: fast ones first, then slower ones, then those of the notebooks.

    Example: tinysight recipes list
    """
    from tinysight.recipes import catalog

    descriptions = catalog.descriptions()
    width = max(map(len, descriptions))
    for name, description in descriptions.items():
        stdout_console.print(f"{name:<{width}}  {description}")
    print_next(f"{command('recipes', 'show', 'NAME')}, or {command('train', 'NAME')}")


@app.command(cls=HelpfulCommand)
def show(recipe: RecipeArgument, minutes: MinutesOption = None) -> None:
    """Print a recipe; with --minutes, resolved for that time budget on CIFAR-10 and this machine.

    Example: tinysight recipes show fast --minutes 2
    """
    from tinysight.recipes import catalog, loading

    if minutes is None:
        stdout_console.print(catalog.read_recipe(catalog.find_recipe(recipe)), end="")
        print_next(command("recipes", "copy", recipe))
        return
    resolved = loading.load_recipe(recipe, [f"training.minutes={minutes}"])
    if resolved.model.needs_time_budget:
        from tinysight.training.device import resolve_device
        from tinysight.training.forecast import Workload, forecast_training

        forecast = forecast_training(resolved, Workload.for_cifar10(resolved), device=resolve_device("auto"))
        stdout_console.print(f"# {forecast.describe()}.\n")
        resolved = forecast.recipe
    stdout_console.print(loading.dump_recipe(resolved), end="")
    print_next(command("train", recipe, "--minutes", f"{minutes:g}"))


@app.command(cls=HelpfulCommand)
def copy(
    recipe: RecipeArgument,
    to: Annotated[Path | None, typer.Argument(help="File to write; default: NAME.toml in the current folder.")] = None,
) -> None:
    """Copy a recipe to a file that you can edit and train.

    Example: tinysight recipes copy deep mine.toml
    """
    from tinysight._util.errors import InputError
    from tinysight._util.files import write_text
    from tinysight.recipes import catalog

    source = catalog.find_recipe(recipe)
    target = to or Path(source.name)
    if os.path.lexists(target):
        raise InputError(f"{target}: already exists. Choose another file name.")
    write_text(target, catalog.read_recipe(source))
    stdout_console.print(f"file: {target}")
    print_next(f"edit it, then {command('train', target)}")


@app.command(cls=HelpfulCommand)
def check(recipe: RecipeArgument, overrides: SetOption = []) -> None:  # noqa: B006  (typer copies it)
    """Validate a recipe and print all its values, including defaults.

    Example: tinysight recipes check mine.toml --set training.epochs=5
    """
    from tinysight.recipes import loading

    stdout_console.print(loading.dump_recipe(loading.load_recipe(recipe, overrides)), end="")
    print_next(command("train", recipe, *(word for override in overrides for word in ("--set", override))))
