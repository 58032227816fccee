"""Overrides of recipe values, such as `training.epochs=5`."""

from __future__ import annotations

import reprlib
import tomllib
from typing import Any

from tinysight._util.errors import RecipeError


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one value in the content of a recipe file.

    Args:
        values: the content, modified in place.
        override: an item `section.key=value` with a TOML value; a bare word is a string.

    Raises:
        RecipeError: the item has another form.

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
