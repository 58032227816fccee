"""Schema of study.json: the settings that all processes of a study share."""

from __future__ import annotations

from pydantic import Field

from tinysight.recipes.schema import Recipe
from tinysight.runs.records import Finite, Record
from tinysight.training.device import Device
from tinysight.training.precision import Precision


class StudyRecord(Record):
    """study.json."""

    recipe: Recipe = Field(description="the complete recipe that the search starts from")
    epochs: int = Field(ge=1, description="maximum epochs of a trial; fewer than the recipe's if the time is short")
    trial_seconds: Finite = Field(description="expected seconds of a trial on the machine that created the study")
    argument: str = Field(description="the dataset, as given by --data; directories as absolute paths")
    skip_bad: bool
    fingerprint: str = Field(description="of the training and validation images")
    seed: int
    precision: Precision
    device: Device
    date: str = Field(description="date of creation, in UTC")


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """Return the recipe with another number of epochs."""
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": epochs})})
