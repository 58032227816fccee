"""What study.json holds: which search this is, so that whoever joins it searches the same."""

from __future__ import annotations

from pydantic import Field

from tinysight.recipes.schema import Recipe
from tinysight.runs.records import Finite, Record
from tinysight.training.device import Device
from tinysight.training.precision import Precision


class StudyRecord(Record):
    """study.json."""

    recipe: Recipe = Field(description="the one that the search starts from, whole")
    epochs: int = Field(ge=1, description="of a trial, at most; fewer than the recipe's where the time was short")
    trial_seconds: Finite = Field(description="that a trial was expected to take where the study was begun")
    argument: str = Field(description="what --data was given, a folder's path made absolute")
    skip_bad: bool
    fingerprint: str = Field(description="of the training and validation images")
    seed: int
    precision: Precision
    device: Device
    date: str = Field(description="when it was begun, in UTC")


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """Return the recipe with another number of epochs."""
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": epochs})})
