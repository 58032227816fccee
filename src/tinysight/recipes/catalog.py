"""Catalog of built-in recipes, and lookup of recipe files."""

from __future__ import annotations

import os.path
import tomllib
from pathlib import Path

from tinysight._util.errors import RecipeError, did_you_mean

RECIPE_DIR = Path(__file__).parent
MAX_LAYERS = 1000
# The longest layer, with all its values, has less than 600 bytes; as a node of a graph, its name and inputs add 400.
MAX_RECIPE_BYTES = 10_000 + 1000 * MAX_LAYERS
_MAX_NESTING = 20 * MAX_LAYERS  # dots and brackets: a nested table takes kilobytes to parse
_MAX_LINE_NESTING = 500  # the parser keeps all prefixes of a dotted key
_NOTEBOOK_RECIPES = (  # kept to reproduce the notebooks; the others are faster and more accurate
    "simple",
    "strided",
    "strided-augmented",
    "strided-augmented-shear",
    "deep",
    "deep-augmented",
    "early-stopping",
)


def list_recipes() -> list[str]:
    """Return the names of the built-in recipes in alphabetical order."""
    return sorted(path.stem for path in RECIPE_DIR.glob("*.toml"))


def recipes_in_order_of_use() -> list[str]:
    """Return the names of the built-in recipes: fast, longer and more accurate ones, then those of the notebooks."""
    notebooks = {name: number for number, name in enumerate(_NOTEBOOK_RECIPES, start=1)}
    return sorted(list_recipes(), key=lambda name: notebooks.get(name, 0))


def descriptions() -> dict[str, str]:
    """Return the descriptions of the built-in recipes by name, in the order of use. The recipes are not checked."""
    names = recipes_in_order_of_use()
    return {name: str(tomllib.loads(read_recipe(RECIPE_DIR / f"{name}.toml"))["description"]) for name in names}


def find_recipe(name: str) -> Path:
    """Return the file of a built-in recipe or of a path to a TOML file.

    Raises:
        RecipeError: there is no such recipe or file.
    """
    if name in list_recipes():
        return RECIPE_DIR / f"{name}.toml"
    path = Path(name)
    if os.path.isfile(name):  # unlike Path.is_file, accepts names of any length
        return path
    if os.path.isdir(name):
        raise RecipeError(f"{name}: a folder, not a recipe. The recipe of a run is its file recipe.toml.")
    if path.suffix == ".toml" or path.parent != Path():
        raise RecipeError(f"{name}: no such recipe file. List the built-in recipes with `tinysight recipes list`.")
    raise RecipeError(f"Unknown recipe {name!r}.{did_you_mean(name, list_recipes())}")


def read_recipe(path: Path) -> str:
    """Return the text of a recipe file.

    Raises:
        RecipeError: the file cannot be read, is not UTF-8 text, or is larger than any recipe of `MAX_LAYERS` layers.
    """
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            size = f"{path.stat().st_size:,} bytes"
            raise RecipeError(f"{path}: {size}, too large for a recipe. Check the path.")
        text = path.read_text(encoding="utf-8-sig")  # skips a byte order mark
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not a text file. A recipe is a TOML file.") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from error
    nesting = [sum(map(line.count, ".[{")) for line in text.splitlines()]
    if sum(nesting) > _MAX_NESTING or max(nesting, default=0) > _MAX_LINE_NESTING:
        raise RecipeError(f"{path}: too many dots and brackets for a recipe. Simplify it.")
    return text
