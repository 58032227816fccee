"""What may be varied in a recipe, and how: from the ranges in its schema to Optuna's distributions, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from annotated_types import Le
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic.fields import FieldInfo

from tinysight.ranges import Between, Near, OneOf, Plain, Range, Times
from tinysight.recipes.schema import SECTIONS, Recipe

Values = Mapping[str, Plain]
"""Values of a recipe by their keys, such as "optimiser.learning_rate"."""

_DIGITS = 3  # of what is tried; more say nothing, and are hard to read in a recipe


@dataclass(frozen=True)
class Space:
    """All recipes that may be tried in place of one.

    Attributes:
        recipe: the one that the search starts from.
        distributions: what may be varied, by its key.
    """

    recipe: Recipe
    distributions: Mapping[str, BaseDistribution]

    @classmethod
    def of(cls, recipe: Recipe) -> Space:
        """Return what the schema says may be varied in `recipe`; only what has an effect in it."""
        return cls(recipe, {key: _distribution(recipe, key, field, note) for key, field, note in _searched(recipe)})

    @property
    def start(self) -> dict[str, Plain]:
        """The values of the recipe itself."""
        return {key: value_of(self.recipe, key) for key in self.distributions}

    def recipe_with(self, values: Values) -> Recipe:
        """Return the recipe with other values; numbers are rounded to a few digits, those of the recipe itself kept."""
        content = self.recipe.model_dump()
        for key, (_, value) in self.changes(values).items():
            section, name = key.split(".")
            content[section][name] = value
        return Recipe.model_validate(content)

    def changes(self, values: Values) -> dict[str, tuple[Plain, Plain]]:
        """Return what `values` change, by key: the recipe's own value and the new one."""
        start = self.start
        told = {key: (start[key], _rounded(value)) for key, value in values.items() if value != start[key]}
        return {key: (old, new) for key, (old, new) in told.items() if old != new}


def value_of(recipe: Recipe, key: str) -> Any:
    """Return the value that stands at a key such as "optimiser.name"."""
    section, name = key.split(".")
    return getattr(getattr(recipe, section), name)


def _searched(recipe: Recipe) -> Iterator[tuple[str, FieldInfo, Range]]:
    """Yield every key that is worth varying in `recipe`, with its field and its range."""
    for section, kind in SECTIONS.items():
        for name, field in kind.model_fields.items():
            for note in field.metadata:
                if isinstance(note, Range) and _applies(note, recipe, f"{section}.{name}"):
                    yield f"{section}.{name}", field, note


def _applies(note: Range, recipe: Recipe, key: str) -> bool:
    if note.if_on and not value_of(recipe, key):
        return False
    return note.when is None or value_of(recipe, note.when[0]) == note.when[1]


def _distribution(recipe: Recipe, key: str, field: FieldInfo, note: Range) -> BaseDistribution:
    own = value_of(recipe, key)
    match note:
        case Near(factor):
            limits: list[Any] = [note.le for note in field.metadata if isinstance(note, Le)]
            return FloatDistribution(own / factor, min(own * factor, *limits), log=True)
        case Between(low, high) if field.annotation is int:
            return IntDistribution(min(int(low), own), max(int(high), own))
        case Between(low, high):
            return FloatDistribution(min(low, own), max(high, own))
        case Times(factors):
            return CategoricalDistribution(sorted({own, *(max(1, int(own * factor)) for factor in factors)}))
        case OneOf(values):
            return CategoricalDistribution(list(dict.fromkeys([*values, own])))
        case _:
            raise TypeError(f"{key} has the range {note!r}, which nobody knows how to search.")


def _rounded(value: Plain) -> Plain:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
