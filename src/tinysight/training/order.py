"""Training request: the arguments of a training, before the dataset is loaded."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from tinysight.data import load
from tinysight.data.dataset import Dataset
from tinysight.errors import DataError
from tinysight.progress import SILENT, Progress
from tinysight.recipes.schema import Recipe
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.training import device as devices
from tinysight.training import planning
from tinysight.training import precision as precisions
from tinysight.training.interruption import Interruption
from tinysight.training.resuming import settled_before
from tinysight.training.settling import settle
from tinysight.training.train import Plan, train
from tinysight.training.workers.group import ALONE, Workers


@dataclass(frozen=True)
class Order:
    """The arguments of a training; picklable, so that it can be sent to worker processes.

    Attributes:
        recipe: the recipe, overrides included.
        argument: name of a built-in dataset, or an absolute path.
        path: run directory to create, or with `resume` to continue.
        seed: seed of all random numbers.
        data_dir: directory of CIFAR-10, or None to search the usual places.
        skip_bad: skip unreadable images instead of failing.
        precision: requested precision.
        device: requested device.
        resume: continue the run at `path`.
        begun: start of the recipe's time budget, as of `time.time`, which all processes share.
    """

    recipe: Recipe
    argument: str
    path: Path
    seed: int = 0
    data_dir: Path | None = None
    skip_bad: bool = False
    precision: precisions.Asked = "auto"
    device: devices.Asked = "auto"
    resume: bool = False
    begun: float = field(default_factory=time.time)

    def settled(self) -> tuple[Recipe, precisions.Asked, devices.Asked]:
        """Return recipe, precision and device, with `resume` those of the run; no image is loaded.

        Raises:
            RunError: `path` is not empty, or with `resume` it holds no run with these settings.
            RecipeError: the network depends on a time budget that the recipe does not set.
        """
        if self.resume:
            return settled_before(self.path, self.recipe, self.argument, self.seed, self.precision, self.device)
        Run.require_vacant(self.path)
        planning.require_time(self.recipe)
        return self.recipe, self.precision, self.device


def carry_out(
    order: Order,
    progress: Progress = SILENT,
    workers: Workers = ALONE,
    interruption: Interruption | None = None,
) -> Summary:
    """Load the dataset, resolve the recipe and train.

    Raises:
        DataError: the dataset is invalid, or differs between the workers.
        DownloadError: CIFAR-10 is missing and cannot be downloaded.
        TinysightError: see `train`.
    """
    recipe, asked, device = workers.of_first(order.settled)
    chosen_device = devices.choose(device)
    dataset = _load_dataset(order, recipe, progress, workers)
    for remark in dataset.remarks:
        progress.note(remark)
    begun = time.perf_counter() - (time.time() - order.begun)
    recipe, precision = workers.of_first(lambda: settle(recipe, dataset, begun, asked, chosen_device, progress))
    plan = Plan(
        recipe,
        dataset,
        order.argument,
        order.seed,
        precision,
        data_dir=order.data_dir if order.argument == "cifar10" else None,
        device=chosen_device,
        begun=begun,
    )
    return train(plan, order.path, order.resume, progress, workers, interruption)


def _load_dataset(order: Order, recipe: Recipe, progress: Progress, workers: Workers) -> Dataset:
    size = recipe.data.image_size
    dataset = workers.in_turn(lambda: load.load(order.argument, size, order.data_dir, order.skip_bad, progress))
    if dataset.fingerprint != workers.of_first(lambda: dataset.fingerprint):
        raise DataError(
            f"{dataset.source}: the images differ from the main worker's. Copy the same dataset to every machine."
        )
    return dataset
