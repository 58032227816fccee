"""Resume a run: load its settings and check that they match the request."""

from __future__ import annotations

import os.path
from pathlib import Path

import torch

from tinysight._util.errors import RunError
from tinysight.data.dataset import Dataset
from tinysight.data.image_ids import read_image_ids
from tinysight.recipes.schema import Recipe
from tinysight.runs.run import Run
from tinysight.training.device import DeviceOption as AskedDevice
from tinysight.training.forecast import scale_lr_for_short_run
from tinysight.training.precision import Precision, PrecisionOption


def load_resume_settings(
    path: Path, recipe: Recipe, data_source: str, seed: int, precision_option: PrecisionOption, device: AskedDevice
) -> tuple[Recipe, Precision, AskedDevice]:
    """Return the recipe, precision and device of the run at `path`, without loading its images.

    Raises:
        RunError: there is no run at `path`, or it cannot be resumed with these settings.
    """
    run = Run.open(path)
    begun, environment = run.recipe(), run.environment()
    if recipe.model.needs_time_budget:
        recipe = _with_chosen_network(recipe, begun)
    precision = environment.precision if precision_option == "auto" else precision_option
    _require_resumable(run, recipe, data_source, seed, precision)
    previous_device: AskedDevice = "cpu" if environment.device == "cpu" else "cuda"
    if device == "auto" and previous_device == "cuda" and not torch.cuda.is_available():
        raise RunError(
            f"{path}: the run was started on a GPU ({environment.device}), and none is available. Use device cpu."
        )
    return begun, precision, previous_device if device == "auto" else device


def _with_chosen_network(recipe: Recipe, begun: Recipe) -> Recipe:
    """Return the recipe with the network chosen for the run, and its learning rate if the forecast raised that."""
    resolved = _with_exclude_file_of(begun, recipe.model_copy(update={"model": begun.model}))
    scaled = scale_lr_for_short_run(resolved, epochs=0)
    return scaled if scaled == begun else resolved


def _with_exclude_file_of(begun: Recipe, recipe: Recipe) -> Recipe:
    """Return the recipe with the run's copy of the list of excluded images, if both list the same images."""
    run_list, new_list = begun.data.exclude_file, recipe.data.exclude_file
    if (
        run_list is None
        or new_list is None
        or set(read_image_ids(Path(run_list))) != set(read_image_ids(Path(new_list)))
    ):
        return recipe
    return recipe.with_excluded(Path(run_list))


def _require_resumable(run: Run, recipe: Recipe, argument: str, seed: int, precision: Precision) -> None:
    path, environment = run.path, run.environment()
    if run.summary().status == "finished":
        raise RunError(f"{path}: the run is finished. Choose another run directory to train again.")
    if run.recipe() != _with_exclude_file_of(run.recipe(), recipe):
        raise RunError(f"{path}: the run was started with another recipe. Resume it with the one in its recipe.toml.")
    if (environment.seed, environment.precision) != (seed, precision):
        raise RunError(
            f"{path}: the run was started with seed {environment.seed} and precision {environment.precision}. "
            "Resume it with the same."
        )
    previous = environment.dataset.argument
    moved = os.path.isabs(previous) and not os.path.isdir(previous)  # `require_same` compares the fingerprints
    if previous != argument and not moved:
        raise RunError(f"{path}: the run was started with dataset {previous}. Resume it with the same.")


def check_resumable(
    path: Path, dataset: Dataset, recipe: Recipe, data_source: str, seed: int, precision: Precision
) -> None:
    """Raise RunError unless the run at `path` was started with the same images and settings."""
    run = Run.open(path)
    _require_resumable(run, recipe, data_source, seed, precision)
    record = run.environment().dataset
    if record.fingerprint != dataset.fingerprint:
        raise RunError(f"{path}: the run was started on other images ({record.source}). Resume it with those.")
