"""What a recipe leaves open, settled for one machine: the network for the time there is, the device, the precision."""

from __future__ import annotations

import time

from tinysight.data.dataset import Dataset
from tinysight.progress import SILENT, Progress
from tinysight.recipes.schema import Recipe
from tinysight.training import planning
from tinysight.training import precision as precisions
from tinysight.training.device import Device


def settle(
    recipe: Recipe,
    dataset: Dataset,
    begun: float | None = None,
    asked: precisions.Asked = "auto",
    device: Device = "cpu",
    progress: Progress = SILENT,
) -> tuple[Recipe, precisions.Precision]:
    """Return the recipe with a network in it, and the precision to train it in; tell what is to be expected of it."""
    if not recipe.model.is_open:
        return recipe, precisions.choose(asked, recipe, device, progress)
    work = planning.Work.of(dataset, recipe)
    outlook = planning.plan(recipe, work, begun or time.perf_counter(), asked, device, progress=progress)
    progress.note(outlook.words_until())
    return outlook.recipe, outlook.precision
