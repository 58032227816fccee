"""Training request, and its resolution into a configuration: dataset, network and precision."""

from __future__ import annotations

import os.path
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from tinysight._util.errors import DataError, InputError, RunError
from tinysight._util.progress import SILENT, Progress
from tinysight._util.timing import Deadline, perf_counter_at
from tinysight.data import load
from tinysight.data.arrange import arrange
from tinysight.data.dataset import Dataset
from tinysight.data.image_ids import read_image_ids
from tinysight.models.network import NetworkFactory
from tinysight.models.registry import family_of
from tinysight.models.transfer import InitialWeights
from tinysight.recipes.schema import Recipe
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import match_images, open_for_resume
from tinysight.training import auto, forecast, small_data
from tinysight.training.backbone import find_backbone
from tinysight.training.device import Device, DeviceOption, resolve_device
from tinysight.training.distributed.process_group import SINGLE, ProcessGroup
from tinysight.training.loggers import LoggerName, check_loggers
from tinysight.training.precision import Precision, PrecisionOption, resolve_precision


@dataclass(frozen=True)
class TrainRequest:
    """The arguments of a training run; picklable, so that it can be sent to worker processes.

    Attributes:
        recipe: the recipe, overrides included.
        dataset: name of a built-in dataset, absolute path, or a loaded dataset.
        path: run directory to create, or with `resume` to continue.
        seed: seed of all random numbers.
        data_dir: directory of CIFAR-10, or None to search the usual places.
        skip_unreadable: skip unreadable images instead of failing.
        precision: requested precision.
        device: requested device.
        resume: continue the run at `path`.
        loggers: names of loggers that record every epoch.
        start_time: start of the recipe's time budget, as of `time.time`, which all processes share.
        initial_weights: weights that training starts from, or None for random weights.
        network: builds the user's own network, for a recipe with model.architecture "custom".
    """

    recipe: Recipe
    dataset: str | Dataset
    path: Path
    seed: int = 0
    data_dir: Path | None = None
    skip_unreadable: bool = False
    precision: PrecisionOption = "auto"
    device: DeviceOption = "auto"
    resume: bool = False
    loggers: tuple[LoggerName, ...] = ()
    start_time: float = field(default_factory=time.time)
    initial_weights: InitialWeights | None = None
    network: NetworkFactory | None = None

    @property
    def data_source(self) -> str:
        """What loads the dataset again: its name, or an absolute path."""
        return self.dataset.argument if isinstance(self.dataset, Dataset) else self.dataset


@dataclass(frozen=True)
class TrainConfig:
    """Everything that defines a training run, resolved before the first step.

    Attributes:
        recipe: its network is set.
        dataset: the loaded images.
        data_source: name of a built-in dataset, or an absolute path.
        path: run directory to create, or with `resume` to continue.
        seed: seed of all random numbers.
        precision: the precision to train in.
        data_dir: directory of CIFAR-10, or None.
        device: the device to train on.
        resume: continue the run at `path`.
        loggers: names of loggers that record every epoch.
        start_time: start of the recipe's time budget, as of `time.perf_counter`.
        initial_weights: weights that training starts from, or None for random weights.
        network: builds the user's own network, for a recipe with model.architecture "custom".
        dataset_files: files of the dataset that are kept in the run; see `Run.create`.
    """

    recipe: Recipe
    dataset: Dataset
    data_source: str
    path: Path
    seed: int = 0
    precision: Precision = "fp32"
    data_dir: Path | None = None
    device: Device = "cpu"
    resume: bool = False
    loggers: tuple[LoggerName, ...] = ()
    start_time: float = field(default_factory=lambda: time.perf_counter())
    initial_weights: InitialWeights | None = None
    network: NetworkFactory | None = None
    dataset_files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def deadline(self) -> Deadline:
        """The end of the recipe's time budget; without one, no limit."""
        return Deadline.after(self.recipe.training.minutes, self.start_time)


def resolve(request: TrainRequest, group: ProcessGroup = SINGLE, progress: Progress = SILENT) -> TrainConfig:
    """Load the dataset, and choose device, network and precision.

    In distributed training all workers call this with the same request.

    Args:
        request: what to train.
        group: the workers; the main worker loads the dataset first and makes the choices.
        progress: receives the progress of loading, and notes on the dataset and the forecast.

    Raises:
        RunError: the run directory is in use, or with `resume` it holds no run with these settings.
        RecipeError: the network depends on a time budget that the recipe does not set.
        DataError: the dataset is invalid, or differs between the workers.
        DownloadError: CIFAR-10 is missing and cannot be downloaded.
        InputError: the device, the precision or a logger is not available.
    """
    recipe, precision_option, device_option = group.run_on_main(lambda: check(request))
    device = resolve_device(device_option)
    dataset = _load_dataset(request, recipe, progress, group)
    if request.resume:
        dataset = replace(dataset, notes=Run.open(request.path).environment().dataset.notes)
    elif request.initial_weights is not None:
        dataset = replace(dataset, notes=(*dataset.notes, request.initial_weights.note))
    for note in (*dataset.notes, *dataset.report.notes()):
        progress.note(note)
    start_time = perf_counter_at(request.start_time)
    deadline = Deadline.after(recipe.training.minutes, start_time)
    if recipe.training.method == "auto":
        recipe = group.run_on_main(lambda: _choose_method(request, recipe, dataset, deadline, progress))
        if recipe.data.image_size != dataset.image_size[0]:
            dataset = replace(_load_dataset(request, recipe, progress, group), notes=dataset.notes)
    recipe, precision = group.run_on_main(
        lambda: forecast.resolve_recipe(
            *(recipe, dataset, deadline, precision_option, device, progress, request.network, request.seed)
        )
    )
    return TrainConfig(
        recipe=recipe,
        dataset=dataset,
        data_source=request.data_source,
        path=request.path,
        seed=request.seed,
        precision=precision,
        data_dir=request.data_dir if request.data_source == "cifar10" else None,
        device=device,
        resume=request.resume,
        loggers=request.loggers,
        start_time=start_time,
        initial_weights=request.initial_weights,
        network=request.network,
    )


def _choose_method(
    request: TrainRequest, recipe: Recipe, dataset: Dataset, deadline: Deadline, progress: Progress
) -> Recipe:
    """Return the recipe with the chosen method instead of "auto", and with the chosen image size.

    Image files are loaded again at this size. Images in memory, and those of datasets with a fixed size, are resized by
    the network instead.
    """
    is_fixed = isinstance(request.dataset, Dataset) or load.find_source(request.dataset).fixed_size is not None
    try:
        find_backbone(recipe.model.backbone or "").check()
    except InputError as error:
        size = dataset.image_size[0] if is_fixed else auto.SCRATCH_SIZE
        return auto.from_scratch(recipe, size, str(error), progress)
    precision = resolve_precision(request.precision, auto.as_probe(recipe), "cpu", progress)
    chosen = auto.choose(recipe, dataset, deadline, precision, request.seed, progress)
    if is_fixed:
        return chosen
    size = chosen.model.input_size or chosen.data.image_size
    data = chosen.data.model_copy(update={"image_size": size})
    return chosen.model_copy(update={"data": data, "model": chosen.model.model_copy(update={"input_size": None})})


def check(request: TrainRequest) -> tuple[Recipe, PrecisionOption, DeviceOption]:
    """Check a request without loading images; return recipe, precision and device, with `resume` those of the run.

    Raises:
        RunError, RecipeError: as for `resolve`; the architecture is unknown.
        InputError: a logger is unknown or not installed.
    """
    check_loggers(request.loggers)
    family_of(request.recipe.model, request.network)
    if request.resume:
        return _resume_settings(request)
    Run.check_available(request.path)
    forecast.check_time_budget(request.recipe)
    return request.recipe, request.precision, request.device


def check_resumable(config: TrainConfig) -> None:
    """Raise RunError unless the run at `config.path` was started with the same images and settings."""
    run = Run.open(config.path)
    _check_same_settings(run, config.recipe, config.data_source, config.seed, config.precision)
    record = run.environment().dataset
    if record.fingerprint != config.dataset.fingerprint:
        match = match_images(run, config.dataset)
        differences = f": {match.differences()}" if match else ""
        raise RunError(
            f"{run.path}: the run was started on other images ({record.source}){differences}. Resume it with those."
        )


def _load_dataset(request: TrainRequest, recipe: Recipe, progress: Progress, group: ProcessGroup) -> Dataset:
    size = recipe.data.image_size
    dataset = group.main_first(
        lambda: arrange(
            load.load(request.dataset, size, request.data_dir, request.skip_unreadable, progress), recipe.data
        )
    )
    if request.resume:
        dataset = open_for_resume(Run.open(request.path), dataset, progress)
    if dataset.fingerprint != group.run_on_main(lambda: dataset.fingerprint):
        raise DataError(
            f"{dataset.source}: the images differ from the main worker's. Copy the same dataset to every machine."
        )
    return dataset


def _resume_settings(request: TrainRequest) -> tuple[Recipe, Precision, DeviceOption]:
    """Return the recipe, precision and device of the run that the request continues."""
    run, recipe = Run.open(request.path), request.recipe
    run_recipe, environment = run.recipe(), run.environment()
    if recipe.training.method == "auto" and recipe.name == run_recipe.name:
        recipe = run_recipe
    if recipe.model.needs_time_budget:
        recipe = _with_chosen_network(small_data.adapt(recipe, run.summary().train_images), run_recipe)
    precision = environment.precision if request.precision == "auto" else request.precision
    _check_same_settings(run, recipe, request.data_source, request.seed, precision)
    run_device: DeviceOption = "cpu" if environment.device == "cpu" else "cuda"
    if request.device == "auto" and run_device == "cuda" and not torch.cuda.is_available():
        raise RunError(
            f"{run.path}: the run was started on a GPU ({environment.device}), and none is available. Use device cpu."
        )
    return run_recipe, precision, run_device if request.device == "auto" else request.device


def _with_chosen_network(recipe: Recipe, run_recipe: Recipe) -> Recipe:
    """Return the recipe with the network chosen for the run, and its learning rate if the forecast raised that."""
    resolved = _with_exclude_file_of(run_recipe, recipe.model_copy(update={"model": run_recipe.model}))
    scaled = forecast.scale_lr_for_short_run(resolved, epochs=0)
    return scaled if scaled == run_recipe else resolved


def _with_exclude_file_of(run_recipe: Recipe, recipe: Recipe) -> Recipe:
    """Return the recipe with the run's copy of the list of excluded images, if both list the same images."""
    run_list, new_list = run_recipe.data.exclude_file, recipe.data.exclude_file
    if (
        run_list is None
        or new_list is None
        or set(read_image_ids(Path(run_list))) != set(read_image_ids(Path(new_list)))
    ):
        return recipe
    return recipe.with_excluded(Path(run_list))


def _check_same_settings(run: Run, recipe: Recipe, data_source: str, seed: int, precision: Precision) -> None:
    path, environment = run.path, run.environment()
    if run.summary().status == "finished":
        raise RunError(f"{path}: the run is finished. Choose another run directory to train again.")
    started, now = run.recipe(), _with_exclude_file_of(run.recipe(), recipe)
    if started != now:
        raise RunError(
            f"{path}: the run was started with a different recipe: {_difference(started, now)}. Resume it with the "
            "recipe in its recipe.toml, or start a new run from its weights."
        )
    if (environment.seed, environment.precision) != (seed, precision):
        raise RunError(
            f"{path}: the run was started with seed {environment.seed} and precision {environment.precision}. "
            "Resume it with the same."
        )
    previous = environment.dataset.argument
    moved = os.path.isabs(previous) and not os.path.isdir(previous)  # `check_resumable` compares the fingerprints
    if previous != data_source and not moved:
        raise RunError(f"{path}: the run was started with dataset {previous}. Resume it with the same.")


def _difference(started: Recipe, now: Recipe) -> str:
    """Return the first value that differs between two recipes, such as "training.epochs is 60, not 50"."""
    before, after = started.flat(), now.flat()
    key = next(key for key in {**before, **after} if before.get(key) != after.get(key))
    return f"{key} is {after.get(key)}, not {before.get(key)}"
