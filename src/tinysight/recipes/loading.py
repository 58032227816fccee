"""From TOML text and `key=value` overrides to a recipe that holds every value, and back."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

import tomli_w
from pydantic import ValidationError

from tinysight.errors import RecipeError, nearest
from tinysight.recipes.schema import SECTIONS, Recipe
from tinysight.recipes.shelf import locate, read_text


def load(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a shipped name or of a path to a TOML file.

    Args:
        name: as the command line takes it.
        overrides: `section.key=value` each, the value in TOML's notation; bare words count as strings.

    Raises:
        RecipeError: no such recipe, no TOML, or an unknown key or impossible value, named with the nearest valid.
    """
    path = locate(name)
    return parse(read_text(path), str(path), overrides)


def parse(text: str, source: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe in TOML `text`; `source` names it in errors. Raises RecipeError as `load` does."""
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"{source} is not valid TOML: {error}.") from error
    for override in overrides:
        _override(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{source}: {_explain(error)}") from error


def dump(recipe: Recipe) -> str:
    """Return the recipe as TOML with every value in it, defaults included; `parse` reads it back equal."""
    return tomli_w.dumps(recipe.model_dump(exclude_none=True))


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *sections, last = key.strip().split(".")
    if not equals or not last:
        raise RecipeError(f"--set {override}: write it as section.key=value, for example training.epochs=5.")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--set {override}: {section} is a value, not a section of the recipe.")
    values[last] = _value(text.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _explain(error: ValidationError) -> str:
    """Say the first thing that is wrong in one sentence, and how many more there are."""
    first, *others = error.errors()
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        said = f"there is no key {place!r}.{nearest(str(first['loc'][-1]), _keys(first['loc'][:-1]))}"
    elif first["type"] == "missing":
        said = f"{place} is missing."
    elif first["type"] == "literal_error":
        choices = [choice.strip(" '") for choice in first["ctx"]["expected"].replace(" or ", ",").split(",")]
        said = f"{place} cannot be {first['input']!r}.{nearest(str(first['input']), choices)}"
    else:
        said = f"{place} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}."
    return said + (f" ({len(others)} more like it.)" if others else "")


def _keys(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are known at `location`, which is the whole recipe or one of its sections."""
    section = SECTIONS[str(location[0])] if location else Recipe
    return list(section.model_fields)
