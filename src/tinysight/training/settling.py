"""Resolve what a recipe leaves open: the network for the time budget, and the precision."""

from __future__ import annotations

import time

from tinysight.data.dataset import Dataset
from tinysight.progress import SILENT, Progress
from tinysight.recipes.schema import Recipe
from tinysight.training import precision as precisions
from tinysight.training.device import Device
from tinysight.training.planning import Work, plan
from tinysight.training.precision import Asked, Precision


def settle(
    recipe: Recipe,
    dataset: Dataset,
    begun: float | None = None,
    asked: Asked = "auto",
    device: Device = "cpu",
    progress: Progress = SILENT,
) -> tuple[Recipe, Precision]:
    """Return the recipe with its network filled in, and the precision to train in.

    If the network was open, the forecast is sent to `progress` as a note.
    """
    if not recipe.model.is_open:
        return recipe, precisions.choose(asked, recipe, device, progress)
    work = Work.of(dataset, recipe)
    outlook = plan(recipe, work, begun or time.perf_counter(), asked, device, progress=progress)
    progress.note(outlook.words_until())
    return outlook.recipe, outlook.precision
