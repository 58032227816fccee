"""`tinysight recipes`: list, show, copy and check recipes."""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinysight.cli.options import MinutesOption, RecipeArgument, SetOption
from tinysight.screen.console import output

app = typer.Typer(help="List, show, copy and check recipes.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the built-in recipes."""
    from tinysight.recipes import loading, shelf

    table = Table("recipe", "network", "epochs", "description", box=None, pad_edge=False)
    for name in shelf.shipped():
        recipe = loading.load(name)
        epochs = "by --minutes" if recipe.model.is_open else str(recipe.training.epochs)
        table.add_row(name, recipe.model.architecture, epochs, recipe.description)
    output.print(table)
    output.print("\nnext: tinysight recipes show NAME, or tinysight train NAME")


@app.command()
def show(recipe: RecipeArgument, minutes: MinutesOption = None) -> None:
    """Print a recipe; with --minutes, resolved for that time budget on CIFAR-10 and this machine."""
    from tinysight.recipes import loading, shelf

    if minutes is None:
        output.print(shelf.read_text(shelf.locate(recipe)), end="")
        return
    resolved = loading.load(recipe, [f"training.minutes={minutes}"])
    if resolved.model.is_open:
        from tinysight.training import device, planning

        forecast = planning.plan(resolved, planning.Work.of_cifar10(resolved), device=device.choose("auto"))
        output.print(f"# {forecast.words()}.\n")
        resolved = forecast.recipe
    output.print(loading.dump(resolved), end="")


@app.command()
def copy(
    recipe: RecipeArgument,
    to: Annotated[Path | None, typer.Argument(help="File to write; default: NAME.toml in the current folder.")] = None,
) -> None:
    """Copy a recipe to a file that you can edit and train."""
    from tinysight.errors import InputError
    from tinysight.files import write_text
    from tinysight.recipes import shelf

    source = shelf.locate(recipe)
    target = to or Path(source.name)
    if os.path.lexists(target):
        raise InputError(f"{target}: already exists. Choose another file name.")
    write_text(target, shelf.read_text(source))
    output.print(f"{target}\nnext: edit it, then tinysight train {target}")


@app.command()
def check(recipe: RecipeArgument, changes: SetOption = []) -> None:  # noqa: B006  (typer copies it)
    """Validate a recipe and print all its values, including defaults."""
    from tinysight.recipes import loading

    output.print(loading.dump(loading.load(recipe, changes)), end="")
