"""Catalog of built-in recipes, and lookup of recipe files."""

from __future__ import annotations

import os.path
from pathlib import Path

from tinysight.errors import RecipeError, nearest

SHELF = Path(__file__).parent
LARGEST_RECIPE = 10_000  # bytes


def shipped() -> list[str]:
    """Return the names of the built-in recipes in alphabetical order."""
    return sorted(path.stem for path in SHELF.glob("*.toml"))


def locate(name: str) -> Path:
    """Return the file of a built-in recipe or of a path to a TOML file.

    Raises:
        RecipeError: there is no such recipe or file.
    """
    if name in shipped():
        return SHELF / f"{name}.toml"
    path = Path(name)
    if os.path.isfile(name):  # unlike Path.is_file, accepts names of any length
        return path
    if os.path.isdir(name):
        raise RecipeError(f"{name}: a folder, not a recipe. The recipe of a run is its file recipe.toml.")
    if path.suffix == ".toml" or path.parent != Path():
        raise RecipeError(f"{name}: no such recipe file. List the built-in recipes with `tinysight recipes list`.")
    raise RecipeError(f"Unknown recipe {name!r}.{nearest(name, shipped())}")


def read_text(path: Path) -> str:
    """Return the text of a recipe file.

    Raises:
        RecipeError: the file cannot be read, is not UTF-8 text, or is larger than `MAX_RECIPE_BYTES`.
    """
    try:
        if path.stat().st_size > LARGEST_RECIPE:
            size = f"{path.stat().st_size:,} bytes"
            raise RecipeError(f"{path}: {size}, too large for a recipe. Check the path.")
        return path.read_text(encoding="utf-8-sig")  # skips a byte order mark
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not a text file. A recipe is a TOML file.") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from error
