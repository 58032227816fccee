"""Search space of a recipe: schema ranges as Optuna distributions, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from annotated_types import Le
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic.fields import FieldInfo

from tinysight.recipes.schema import SECTIONS, Recipe
from tinysight.recipes.search_space import Choices, LogScale, Multiples, Scalar, SearchRange, Uniform

RecipeValues = Mapping[str, Scalar]
"""Values of a recipe by their keys, such as "optimizer.learning_rate"."""

_DIGITS = 3  # significant digits of tried values; more have no effect on accuracy


@dataclass(frozen=True)
class SearchSpace:
    """The search space around one recipe.

    Attributes:
        recipe: the recipe that the search starts from.
        distributions: Optuna's distributions, by recipe key.
    """

    recipe: Recipe
    distributions: Mapping[str, BaseDistribution]

    @classmethod
    def of(cls, recipe: Recipe) -> SearchSpace:
        """Return the search space of `recipe`: all keys with a range in the schema that have an effect."""
        return cls(
            recipe,
            {key: _distribution(recipe, key, field, search_range) for key, field, search_range in _searchable(recipe)},
        )

    @property
    def baseline(self) -> dict[str, Scalar]:
        """The recipe's own values."""
        return {key: get_value(self.recipe, key) for key in self.distributions}

    def recipe_with(self, values: RecipeValues) -> Recipe:
        """Return the recipe with other values; new numbers are rounded to three significant digits."""
        content = self.recipe.model_dump()
        for key, (_, value) in self.changes(values).items():
            section, name = key.split(".")
            content[section][name] = value
        return Recipe.model_validate(content)

    def changes(self, values: RecipeValues) -> dict[str, tuple[Scalar, Scalar]]:
        """Return the changed values by key, as pairs (recipe's value, new value)."""
        start = self.baseline
        pairs = {key: (start[key], self._rounded(key, value)) for key, value in values.items() if value != start[key]}
        return {key: (old, new) for key, (old, new) in pairs.items() if old != new}

    def _rounded(self, key: str, value: Scalar) -> Scalar:
        """Return the value with three significant digits, but not above the range: 0.9996 must not become 1."""
        distribution = self.distributions[key]
        if not isinstance(distribution, FloatDistribution):
            return value
        return min(float(f"{value:.{_DIGITS}g}"), distribution.high)


def get_value(recipe: Recipe, key: str) -> Any:
    """Return the value of a key such as "optimizer.name"."""
    section, name = key.split(".")
    return getattr(getattr(recipe, section), name)


def _searchable(recipe: Recipe) -> Iterator[tuple[str, FieldInfo, SearchRange]]:
    """Yield every key with an effect in `recipe`, with its field and its range."""
    for section, kind in SECTIONS.items():
        for name, field in kind.model_fields.items():
            for note in field.metadata:
                if isinstance(note, SearchRange) and _applies(note, recipe, f"{section}.{name}"):
                    yield f"{section}.{name}", field, note


def _applies(note: SearchRange, recipe: Recipe, key: str) -> bool:
    if note.only_if_nonzero and not get_value(recipe, key):
        return False
    return note.condition is None or get_value(recipe, note.condition[0]) == note.condition[1]


def _distribution(recipe: Recipe, key: str, field: FieldInfo, note: SearchRange) -> BaseDistribution:
    own = get_value(recipe, key)
    limits: list[Any] = [limit.le for limit in field.metadata if isinstance(limit, Le)]
    match note:
        case LogScale(factor):
            return FloatDistribution(own / factor, min(own * factor, *limits), log=True)
        case Uniform(low, high) if field.annotation is int:
            return IntDistribution(min(int(low), own), max(int(high), own))
        case Uniform(low, high):
            return FloatDistribution(min(low, own), max(high, own))
        case Multiples(factors):
            multiples = (min(max(1, int(own * factor)), *limits) for factor in factors)
            return CategoricalDistribution(sorted({own, *multiples}))
        case Choices(values):
            return CategoricalDistribution(list(dict.fromkeys([*values, own])))
        case _:
            raise TypeError(f"{key} has the range {note!r}, which has no Optuna distribution.")
