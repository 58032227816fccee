"""Where `tune` looks for a better value: notes that stand beside the values of a recipe, in its schema.

Every one of them contains the recipe's own value, which is where the looking starts.
"""

from __future__ import annotations

from dataclasses import dataclass

Plain = str | bool | int | float


@dataclass(frozen=True, kw_only=True)
class Range:
    """What all of them may say.

    Attributes:
        when: a key of the recipe and the value it must have; elsewhere this one has no effect, and is left alone.
        if_on: whether a recipe in which the value is 0 leaves it there.
    """

    when: tuple[str, Plain] | None = None
    if_on: bool = False


@dataclass(frozen=True)
class Near(Range):
    """From the recipe's own value divided by `factor` to that times `factor`, all orders of magnitude alike."""

    factor: float


@dataclass(frozen=True)
class Between(Range):
    """From `low` to `high`, both included; wider if the recipe's own value lies outside."""

    low: float
    high: float


@dataclass(frozen=True)
class Times(Range):
    """The recipe's own value times each of `factors`, in whole numbers of at least 1."""

    factors: tuple[float, ...]


@dataclass(frozen=True)
class OneOf(Range):
    """Each of some values, and the recipe's own if that is another."""

    values: tuple[Plain, ...]
