"""Where recipes lie: the shipped ones beside this file, and anybody's own TOML."""

from __future__ import annotations

from pathlib import Path

from tinysight.errors import RecipeError, nearest

SHELF = Path(__file__).parent
LARGEST_RECIPE = 1_000_000  # bytes; a recipe is a page of text


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
    if path.is_file():
        return path
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
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}; it should be a TOML text.") from error
