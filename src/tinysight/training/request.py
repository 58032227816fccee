"""Training request: the arguments of a training, before the dataset is loaded."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from tinysight._util.errors import DataError
from tinysight._util.progress import SILENT, Progress
from tinysight.data import load
from tinysight.data.dataset import Dataset
from tinysight.recipes.schema import Recipe
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.training import device as devices
from tinysight.training import forecast
from tinysight.training import precision as precisions
from tinysight.training.distributed.process_group import SINGLE, ProcessGroup
from tinysight.training.forecast import resolve_recipe
from tinysight.training.resume import load_resume_settings
from tinysight.training.session import TrainConfig, train
from tinysight.training.signals import StopRequest


@dataclass(frozen=True)
class TrainRequest:
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
    data_source: str
    path: Path
    seed: int = 0
    data_dir: Path | None = None
    skip_unreadable: bool = False
    precision: precisions.PrecisionOption = "auto"
    device: devices.DeviceOption = "auto"
    resume: bool = False
    start_time: float = field(default_factory=time.time)

    def resolve_settings(self) -> tuple[Recipe, precisions.PrecisionOption, devices.DeviceOption]:
        """Return recipe, precision and device, with `resume` those of the run; no image is loaded.

        Raises:
            RunError: `path` is not empty, or with `resume` it holds no run with these settings.
            RecipeError: the network depends on a time budget that the recipe does not set.
        """
        if self.resume:
            return load_resume_settings(
                self.path, self.recipe, self.data_source, self.seed, self.precision, self.device
            )
        Run.check_available(self.path)
        forecast.check_time_budget(self.recipe)
        return self.recipe, self.precision, self.device


def run_request(
    request: TrainRequest,
    progress: Progress = SILENT,
    group: ProcessGroup = SINGLE,
    stop_request: StopRequest | None = None,
) -> Summary:
    """Load the dataset, resolve the recipe and train.

    Raises:
        DataError: the dataset is invalid, or differs between the workers.
        DownloadError: CIFAR-10 is missing and cannot be downloaded.
        TinysightError: see `train`.
    """
    recipe, asked, device = group.run_on_main(request.resolve_settings)
    chosen_device = devices.resolve_device(device)
    dataset = _load_dataset(request, recipe, progress, group)
    for remark in dataset.notes:
        progress.note(remark)
    begun = time.perf_counter() - (time.time() - request.start_time)
    recipe, precision = group.run_on_main(
        lambda: resolve_recipe(recipe, dataset, begun, asked, chosen_device, progress)
    )
    plan = TrainConfig(
        recipe,
        dataset,
        request.data_source,
        request.seed,
        precision,
        data_dir=request.data_dir if request.data_source == "cifar10" else None,
        device=chosen_device,
        start_time=begun,
    )
    return train(plan, request.path, request.resume, progress, group, stop_request)


def _load_dataset(order: TrainRequest, recipe: Recipe, progress: Progress, workers: ProcessGroup) -> Dataset:
    size = recipe.data.image_size
    dataset = workers.main_first(
        lambda: load.load(order.data_source, size, order.data_dir, order.skip_unreadable, progress)
    )
    if dataset.fingerprint != workers.run_on_main(lambda: dataset.fingerprint):
        raise DataError(
            f"{dataset.source}: the images differ from the main worker's. Copy the same dataset to every machine."
        )
    return dataset
