"""`tinysight recipes`: list, show, copy and check the recipes."""

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
    """List the shipped recipes."""
    from tinysight.recipes import loading, shelf

    table = Table("recipe", "network", "epochs", "what it is", box=None, pad_edge=False)
    for name in shelf.shipped():
        recipe = loading.load(name)
        epochs = "by time" if recipe.model.is_open else str(recipe.training.epochs)
        table.add_row(name, recipe.model.architecture, epochs, recipe.description)
    output.print(table)
    output.print("\nnext: tinysight recipes show NAME, or tinysight train NAME")


@app.command()
def show(recipe: RecipeArgument, minutes: MinutesOption = None) -> None:
    """Print a recipe as it was written; with --minutes, how it would spend them on CIFAR-10 here."""
    from tinysight.recipes import loading, shelf

    if minutes is None:
        output.print(shelf.read_text(shelf.locate(recipe)), end="")
        return
    settled = loading.load(recipe, [f"training.minutes={minutes}"])
    if settled.model.is_open:
        from tinysight.training import device, planning

        outlook = planning.plan(settled, planning.Work.of_cifar10(settled), device=device.choose("auto"))
        output.print(f"# {outlook.words()}.\n")
        settled = outlook.recipe
    output.print(loading.dump(settled), end="")


@app.command()
def copy(
    recipe: RecipeArgument,
    to: Annotated[Path | None, typer.Argument(help="The file to write; default NAME.toml here.")] = None,
) -> None:
    """Copy a recipe to a file of your own, to change and train."""
    from tinysight.errors import InputError
    from tinysight.files import write_text
    from tinysight.recipes import shelf

    source = shelf.locate(recipe)
    target = to or Path(source.name)
    if os.path.lexists(target):
        raise InputError(f"{target} exists already; name another file to copy {recipe} to.")
    write_text(target, shelf.read_text(source))
    output.print(f"{target}\nnext: edit it, then tinysight train {target}")


@app.command()
def check(recipe: RecipeArgument, changes: SetOption = []) -> None:  # noqa: B006  (typer copies it)
    """Check a recipe and print every value it would use, defaults included."""
    from tinysight.recipes import loading

    output.print(loading.dump(loading.load(recipe, changes)), end="")
