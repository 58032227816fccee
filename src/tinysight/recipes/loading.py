"""From TOML text and `key=value` overrides to a recipe that holds every value, and back."""

from __future__ import annotations

import re
import reprlib
import tomllib
from collections.abc import Sequence
from typing import Any

import tomli_w
from pydantic import ValidationError

from tinysight.errors import InputError, RecipeError, nearest
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
    return parse(read_text(locate(name)), name, overrides)


def changed(name: str, changes: Sequence[str] = (), epochs: int | None = None, minutes: float | None = None) -> Recipe:
    """Return the recipe of that name with all that is to be changed in it.

    Args:
        name: a shipped one, or a path to a TOML file.
        changes: `section.key=value` each.
        epochs: short form of `training.epochs`.
        minutes: short form of `training.minutes`.

    Raises:
        InputError: both are given, or the recipe counts minutes and epochs are asked for.
        RecipeError: as `load` does.
    """
    if epochs and minutes:
        raise InputError("epochs and minutes both say how long; give one of them.")
    short_forms = {"training.epochs": epochs, "training.minutes": minutes}
    recipe = load(name, [*changes, *(f"{key}={value}" for key, value in short_forms.items() if value)])
    if epochs and recipe.training.minutes:
        raise InputError(f"The recipe {recipe.name} gives training.minutes, which epochs cannot outdo; take it out.")
    return recipe


def parse(text: str, source: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe in TOML `text`; `source` names it in errors. Raises RecipeError as `load` does."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} is not valid TOML: {error}.") from error
    except (ValueError, RecursionError) as error:  # integers of thousands of digits, brackets in brackets in ...
        raise RecipeError(f"{source} holds a number too long or brackets too deep for a recipe.") from error
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
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _explain(error: ValidationError) -> str:
    """Say the first thing that is wrong in one sentence, and how many more there are."""
    first, *others = error.errors()
    more = f" ({len(others)} more like it.)" if others else ""
    place = ".".join(str(part) for part in first["loc"])
    # Whatever stands in the file, the sentence stays short.
    value, message = reprlib.repr(first["input"]), first["msg"]
    match first["type"]:
        case "extra_forbidden":
            return f"there is no key {reprlib.repr(place)}.{_nearest_key(first['loc'])}{more}"
        case "missing":
            return f"{place} is missing.{more}"
        case "model_type":
            return f"{place} is a section of the recipe, not the value {value}; set one of its keys.{more}"
        case "literal_error":
            choices = [choice.strip(" '") for choice in first["ctx"]["expected"].replace(" or ", ",").split(",")]
            return f"{place} cannot be {value}.{nearest(str(first['input']), choices)}{more}"
        case "string_pattern_mismatch":
            return f"{place} is {value}; use lower-case letters, digits, dots and dashes.{more}"
        case "value_error":
            where = f"{place}: " if place else ""  # what concerns several sections names them itself
            return f"{where}{message.removeprefix('Value error, ')}.{more}"
        case _:
            return f"{place} is {value}: {re.sub('^[A-Z][a-z]+ should', 'it should', message)}.{more}"


def _nearest_key(location: tuple[int | str, ...]) -> str:
    """Suggest what the unknown key at `location` may have meant: the same key elsewhere, or a similar one."""
    *sections, wrong = (str(part) for part in location)
    elsewhere = [f"{name}.{wrong}" for name, section in SECTIONS.items() if wrong in section.model_fields]
    if elsewhere:
        return f" Did you mean {elsewhere[0]!r}?"
    known = SECTIONS[sections[0]] if sections else Recipe
    return nearest(wrong, known.model_fields)
