"""Where recipes lie: the shipped ones beside this file, and anybody's own TOML."""

from __future__ import annotations

import os.path
from pathlib import Path

from tinysight.errors import RecipeError, nearest

SHELF = Path(__file__).parent
LARGEST_RECIPE = 10_000  # bytes; a recipe is a page of text


def shipped() -> list[str]:
    """Return the names of the shipped recipes, in alphabetical order."""
    return sorted(path.stem for path in SHELF.glob("*.toml"))


def locate(name: str) -> Path:
    """Return the file of a shipped recipe, or of a path to a TOML file.

    Raises:
        RecipeError: there is neither such a recipe nor such a file.
    """
    if name in shipped():
        return SHELF / f"{name}.toml"
    path = Path(name)
    if os.path.isfile(name):  # unlike Path.is_file it takes any name, however long
        return path
    if os.path.isdir(name):
        raise RecipeError(f"{name} is a folder, not a recipe; a run's recipe is the file recipe.toml in it.")
    if path.suffix == ".toml" or path.parent != Path():
        raise RecipeError(f"There is no recipe file {name}; `tinysight recipes list` shows the shipped recipes.")
    raise RecipeError(f"There is no recipe {name!r}.{nearest(name, shipped())}")


def read_text(path: Path) -> str:
    """Return the text of a recipe file.

    Raises:
        RecipeError: it cannot be read, is no UTF-8 text, or is far too large for a recipe.
    """
    try:
        if path.stat().st_size > LARGEST_RECIPE:
            raise RecipeError(f"{path} is too large for a recipe ({path.stat().st_size:,} bytes); is it another file?")
        return path.read_text(encoding="utf-8-sig")  # some editors begin a text with a byte order mark
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not a text, so it is no recipe; a recipe is a TOML file.") from error
    except OSError as error:
        raise RecipeError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
