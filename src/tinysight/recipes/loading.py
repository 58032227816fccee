"""Recipe loading: TOML files with `key=value` overrides."""

from __future__ import annotations

import re
import reprlib
import tomllib
from collections.abc import Sequence
from typing import Any

import tomli_w
from pydantic import ValidationError

from tinysight._util.errors import InputError, RecipeError, did_you_mean
from tinysight.recipes.catalog import find_recipe, read_recipe
from tinysight.recipes.schema import SECTIONS, Recipe


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one value in the content of a recipe file.

    Args:
        values: the content, modified in place.
        override: an item `section.key=value` with a TOML value; a bare word is a string.

    Raises:
        RecipeError: the item does not have this form.

    >>> values = {"training": {"epochs": 20}}
    >>> apply_override(values, "training.epochs=5")
    >>> apply_override(values, "optimizer.name=adam")
    >>> values
    {'training': {'epochs': 5}, 'optimizer': {'name': 'adam'}}
    """
    key, equals, text = override.partition("=")
    *sections, last = key.strip().split(".")
    if not equals or not last:
        raise RecipeError(
            f"Override {reprlib.repr(override)}: not of the form section.key=value. Example: training.epochs=5."
        )
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise RecipeError(
                f"Override {reprlib.repr(override)}: {section} is not a section. Use the form section.key=value."
            )
    values[last] = _parse_value(text.strip())


def _parse_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a built-in recipe or a TOML file.

    Args:
        name: name of a built-in recipe, or path to a TOML file.
        overrides: items `section.key=value` with a TOML value; bare words are strings.

    Raises:
        RecipeError: the recipe does not exist, is not TOML, or has an unknown key or invalid value.
    """
    return parse_recipe(read_recipe(find_recipe(name)), name, overrides)


def load_with_overrides(
    name: str, overrides: Sequence[str] = (), epochs: int | None = None, minutes: float | None = None
) -> Recipe:
    """Load a recipe with overrides and a training length.

    Args:
        name: name of a built-in recipe, or path to a TOML file.
        overrides: items `section.key=value`.
        epochs: shorthand for `training.epochs`.
        minutes: shorthand for `training.minutes`.

    Raises:
        InputError: epochs is combined with minutes, or with a recipe that sets training.minutes.
        RecipeError: see `load_recipe`.
    """
    if epochs is not None and minutes is not None:
        raise InputError("epochs and minutes: both set the training length. Use one of them.")
    shorthands = {"training.epochs": epochs, "training.minutes": minutes}
    recipe = load_recipe(
        name, [*overrides, *(f"{key}={value}" for key, value in shorthands.items() if value is not None)]
    )
    if epochs is not None and recipe.training.minutes is not None:
        raise InputError(f"Recipe {recipe.name}: sets training.minutes, so epochs has no effect. Remove one of them.")
    return recipe


def parse_recipe(text: str, source: str, overrides: Sequence[str] = ()) -> Recipe:
    """Parse a recipe from TOML `text`. Errors are those of `load_recipe` and start with `source`."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source}: not valid TOML. {error}.") from error
    except (ValueError, RecursionError) as error:  # integers with thousands of digits, deeply nested brackets
        raise RecipeError(f"{source}: a number is too long or brackets are nested too deeply. Shorten it.") from error
    for override in overrides:
        apply_override(values, override)
    return validate_recipe(values, source)


def validate_recipe(values: dict[str, Any], source: str) -> Recipe:
    """Return the recipe with the content `values`. Errors are those of `load_recipe` and start with `source`."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{source}: {_explain(error)}") from error


def dump_recipe(recipe: Recipe) -> str:
    """Return the recipe as TOML with all values, including defaults. `parse_recipe` restores it exactly."""
    return tomli_w.dumps(recipe.model_dump(exclude_none=True))


def _explain(error: ValidationError) -> str:
    """Describe the first error in one sentence, and count the others."""
    first, *others = error.errors()
    more = f" ({len(others)} more.)" if others else ""
    key = ".".join(str(part) for part in first["loc"])
    # reprlib limits the length of the message.
    value, message = reprlib.repr(first["input"]), first["msg"]
    match first["type"]:
        case "extra_forbidden":
            return f"unknown key {reprlib.repr(key)}.{_suggest_key(first['loc'])}{more}"
        case "missing":
            return f"{key} is missing. Add it.{more}"
        case "model_type":
            return f"{key} is a section, not a value such as {value}. Set one of its keys.{more}"
        case "literal_error":
            choices = [choice.strip(" '") for choice in first["ctx"]["expected"].replace(" or ", ",").split(",")]
            return f"{key} cannot be {value}.{did_you_mean(str(first['input']), choices)}{more}"
        case "string_pattern_mismatch":
            return f"{key} is {value}. Use lowercase letters, digits, dots and dashes.{more}"
        case "value_error":
            prefix = f"{key}: " if key else ""  # errors across sections name their keys themselves
            return f"{prefix}{message.removeprefix('Value error, ')}.{more}"
        case _:
            return f"{key} is {value}. {re.sub('^[A-Z][a-z]+ should', 'It should', message)}.{more}"


def _suggest_key(location: tuple[int | str, ...]) -> str:
    """Suggest the same key in another section, or a similar key in this one."""
    *sections, unknown = (str(part) for part in location)
    elsewhere = [f"{name}.{unknown}" for name, section in SECTIONS.items() if unknown in section.model_fields]
    if elsewhere:
        return f" Did you mean {elsewhere[0]!r}?"
    known = SECTIONS[sections[0]] if sections else Recipe
    return did_you_mean(unknown, known.model_fields)
