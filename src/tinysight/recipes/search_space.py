"""Hyperparameter ranges for `tune`: metadata on the fields of the recipe schema.

Each range includes the recipe's own value, where the search starts.
"""

from __future__ import annotations

from dataclasses import dataclass

Scalar = str | bool | int | float


@dataclass(frozen=True, kw_only=True)
class SearchRange:
    """Base class of the ranges.

    Attributes:
        condition: a recipe key and its required value. Otherwise the field has no effect and is not searched.
        only_if_nonzero: skip the field if its value in the recipe is 0.
    """

    condition: tuple[str, Scalar] | None = None
    only_if_nonzero: bool = False


@dataclass(frozen=True)
class LogScale(SearchRange):
    """Log-uniform from the recipe's value / `factor` to its value * `factor`."""

    factor: float


@dataclass(frozen=True)
class Uniform(SearchRange):
    """Uniform from `low` to `high`, inclusive, extended to include the recipe's value."""

    low: float
    high: float


@dataclass(frozen=True)
class Multiples(SearchRange):
    """The recipe's value times each of `factors`, as integers of at least 1."""

    factors: tuple[float, ...]


@dataclass(frozen=True)
class Choices(SearchRange):
    """Each of `values`, and the recipe's value."""

    values: tuple[Scalar, ...]
