"""Whether a run can be gone on with, and what was settled when it was begun."""

from __future__ import annotations

import os.path
from pathlib import Path

import torch

from tinysight.data.dataset import Dataset
from tinysight.data.names import read_names
from tinysight.errors import RunError
from tinysight.recipes.schema import Recipe
from tinysight.runs.run import Run
from tinysight.training.device import Asked as AskedDevice
from tinysight.training.planning import paced
from tinysight.training.precision import Asked, Precision


def settled_before(
    path: Path, recipe: Recipe, argument: str, seed: int, asked: Asked, device: AskedDevice
) -> tuple[Recipe, Precision, AskedDevice]:
    """Return recipe, precision and device of the run at `path`, with what was chosen when it was begun.

    Its images are not looked at.

    Raises:
        RunError: there is no run, or none that can go on so.
    """
    run = Run.open(path)
    begun, environment = run.recipe(), run.environment()
    if recipe.model.is_open:
        recipe = _planned_alike(recipe, begun)
    precision = environment.precision if asked == "auto" else asked
    _require_resumable(run, recipe, argument, seed, precision)
    was: AskedDevice = "cpu" if environment.device == "cpu" else "cuda"
    if device == "auto" and was == "cuda" and not torch.cuda.is_available():
        raise RunError(
            f"{path} was begun on a graphics card ({environment.device}), and there is none; add --device cpu."
        )
    return begun, precision, was if device == "auto" else device


def _planned_alike(recipe: Recipe, begun: Recipe) -> Recipe:
    """Return the recipe with what the plan of the run settled: its network, and its rate if the plan raised that."""
    settled = _with_the_list_of(begun, recipe.model_copy(update={"model": begun.model}))
    raised = paced(settled, epochs=0)
    return raised if raised == begun else settled


def _with_the_list_of(begun: Recipe, recipe: Recipe) -> Recipe:
    """Return the recipe with the run's own list of excluded images, if it names the same."""
    own, other = begun.data.exclude, recipe.data.exclude
    if own is None or other is None or set(read_names(Path(own))) != set(read_names(Path(other))):
        return recipe
    return recipe.excluding(Path(own))


def _require_resumable(run: Run, recipe: Recipe, argument: str, seed: int, precision: Precision) -> None:
    path, environment = run.path, run.environment()
    if run.summary().status == "finished":
        raise RunError(f"{path} is finished; there is nothing to resume. Train anew with another --out.")
    if run.recipe() != _with_the_list_of(run.recipe(), recipe):
        raise RunError(f"{path} was begun with another recipe (see its recipe.toml); resume it with that one.")
    if (environment.seed, environment.precision) != (seed, precision):
        raise RunError(
            f"{path} was begun with --seed {environment.seed} --precision {environment.precision}; resume it so."
        )
    begun = environment.dataset.argument
    moved = os.path.isabs(begun) and not os.path.isdir(begun)  # then the images themselves will tell
    if begun != argument and not moved:
        raise RunError(f"{path} was begun with --data {begun}; resume it so.")


def require_same(path: Path, dataset: Dataset, recipe: Recipe, argument: str, seed: int, precision: Precision) -> None:
    """Raise RunError unless the run at `path` was begun on these very images, and so."""
    run = Run.open(path)
    _require_resumable(run, recipe, argument, seed, precision)
    record = run.environment().dataset
    if record.fingerprint != dataset.fingerprint:
        raise RunError(f"{path} was begun on other images ({record.source}); resume it with those.")
