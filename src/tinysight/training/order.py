"""What somebody asks for when they train, with all of it still to be looked up: it can be sent to where that is."""

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
    """A recipe, images by name, and where the run is to be.

    Attributes:
        recipe: with every change that was asked for.
        argument: what `--data` said, made absolute.
        path: the run directory to make, or with `resume` to go on with.
        seed: of all random numbers.
        data_dir: where CIFAR-10 was said to lie.
        skip_bad: go on without pictures that cannot be read.
        precision: as asked for.
        device: as asked for.
        resume: go on with the run at `path`.
        begun: when the time began that the recipe may give in minutes, by `time.time`: every process has that.
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
        """Return recipe, precision and device, those of the run if there is one to go on with; look at no image.

        Raises:
            RunError: there is something at `path`, or with `resume` no run that can go on so.
            RecipeError: the recipe leaves the network to a time that it does not give.
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
    """Load the images, settle what the recipe leaves open, and train: see `train`, which raises most of the errors.

    Raises:
        DataError: the images are not what they should be, or not the same with every worker.
        DownloadError: CIFAR-10 is not here and cannot be fetched.
    """
    recipe, asked, device = workers.of_first(order.settled)
    where = devices.choose(device)
    dataset = _images(order, recipe, progress, workers)
    for remark in dataset.remarks:
        progress.note(remark)
    begun = time.perf_counter() - (time.time() - order.begun)
    recipe, numbers = workers.of_first(lambda: settle(recipe, dataset, begun, asked, where, progress))
    found = order.data_dir if order.argument == "cifar10" else None
    plan = Plan(recipe, dataset, order.argument, order.seed, numbers, data_dir=found, device=where, begun=begun)
    return train(plan, order.path, order.resume, progress, workers, interruption)


def _images(order: Order, recipe: Recipe, progress: Progress, workers: Workers) -> Dataset:
    size = recipe.data.image_size
    dataset = workers.in_turn(lambda: load.load(order.argument, size, order.data_dir, order.skip_bad, progress))
    if dataset.fingerprint != workers.of_first(lambda: dataset.fingerprint):
        raise DataError(
            f"{dataset.source} holds other images than the first worker has; bring the same to every machine."
        )
    return dataset
