"""Choose a network for a time budget from a fitted scaling law.

The scaling law (fitted by `benchmarks/scaling_law.py`) gives each network's error as a function of the images trained
on. A speed probe of one or two seconds gives the number of images that this machine can train on in the time.
"""

from __future__ import annotations

import math
import time
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from tinysight._util.errors import RecipeError
from tinysight._util.formatting import percent
from tinysight._util.progress import SILENT, Progress
from tinysight._util.timing import Deadline
from tinysight.data.dataset import Dataset
from tinysight.data.splits import split_dataset
from tinysight.models.classifier import batch_size
from tinysight.models.families.fast import final_resolution
from tinysight.models.network import NetworkFactory
from tinysight.models.registry import build_network, supports_image_size
from tinysight.recipes import loading
from tinysight.recipes.schema import ModelSection, Recipe
from tinysight.training import image_size, small_data
from tinysight.training import precision as precisions
from tinysight.training.budget import EXIT_SECONDS
from tinysight.training.device import Device
from tinysight.training.precision import PROBE_IMAGES, Precision, PrecisionOption, step_seconds

SCALING_LAW_FILE = Path(__file__).with_name("scaling_law.toml")
EVAL_COST = 1 / 3  # cost of a validation relative to training on as many images: the forward pass only
FINAL_EVALS = 3  # validations after the last epoch, in units of one: one is in float32, which takes twice as long
WARMUP_EVALS = 6  # validations of `batch_size` images before the first step, to time them; same units
# Shorter runs, in epochs, are more accurate with higher learning rates (docs/experiments/forecast-error-sources.md).
SHORT_RUN_EPOCHS = 3.5
SHORT_RUN_LR_FACTOR = 1.7
LARGE_IMAGE = 48  # pixels; from here on, a stem of stride 2 leaves at least as many places as stride 1 at 32 pixels
MAX_GROUPS, FINAL_RESOLUTION = 5, 3


@dataclass(frozen=True)
class Candidate:
    """A candidate network and its error after training on `n` images: floor + scale / n^power.

    Attributes:
        efficiency: images per second in training, relative to the speed probe.
    """

    stem_stride: Literal[1, 2]
    channels: tuple[int, ...]
    floor: float
    scale: float
    power: float
    efficiency: float

    def model(self, image_size: int) -> ModelSection:
        """Return the recipe's model section for this network, for images of this height and width in pixels.

        The law was fitted at 32 pixels, where the last group has 3x3 outputs. Larger images get a stem of stride 2,
        and repeat the last group until its output is as small. So images of 64 pixels cost about as much as those of
        32 with stride 1, and the network sees them as a whole.
        """
        stride, channels = self.stem_stride, list(self.channels)
        if image_size >= LARGE_IMAGE:
            stride = 2
            while len(channels) < MAX_GROUPS and final_resolution(stride, len(channels), image_size) > FINAL_RESOLUTION:
                channels.append(channels[-1])
        return ModelSection(architecture="fast", stem_stride=stride, channels=channels)

    def accuracy(self, n_images: float) -> float:
        """Return the expected accuracy after training on `n_images` CIFAR-10 images, counted once per epoch."""
        return max(0.0, 1 - self.floor - self.scale * math.pow(max(1.0, n_images), -self.power))


@dataclass(frozen=True)
class ScalingLaw:
    """The candidate networks, cheapest first, and the spread of single runs around the scaling law.

    Attributes:
        accuracy_spread: two standard deviations of the accuracy at a given number of images.
        log_speed_spread: two standard deviations of the log of the training speed relative to the probe.
        setup_seconds: seconds from the loaded dataset to the first step, without probes and timing.
    """

    candidates: tuple[Candidate, ...]
    accuracy_spread: float
    log_speed_spread: float
    setup_seconds: float

    @classmethod
    def load(cls) -> ScalingLaw:
        """Return the fitted law shipped with tinysight."""
        values = tomllib.loads(SCALING_LAW_FILE.read_text(encoding="utf-8"))
        candidates = tuple(
            Candidate(
                row["stem_stride"], tuple(row["channels"]), row["floor"], row["scale"], row["power"], row["efficiency"]
            )
            for row in values["candidate"]
        )
        return cls(candidates, values["spread"], values["log_speed_spread"], values["setup_seconds"])

    def expected_spread(self, candidate: Candidate, n_images: float) -> float:
        """Return the accuracy's spread after about `n_images` images, from both sources of variation."""
        slower = candidate.accuracy(n_images) - candidate.accuracy(n_images * math.exp(-self.log_speed_spread))
        return math.hypot(self.accuracy_spread, slower)


@dataclass(frozen=True)
class Workload:
    """Size of a training task.

    Attributes:
        n_train: number of training images.
        n_validation: number of validation images.
        is_cifar10: whether the dataset is CIFAR-10, on which the law was fitted.
    """

    n_train: int
    n_validation: int
    is_cifar10: bool

    @classmethod
    def from_dataset(cls, dataset: Dataset, recipe: Recipe, seed: int = 0) -> Workload:
        """Return the workload of `recipe` on a dataset; `seed` is that of its split."""
        images, is_cifar10 = split_dataset(dataset, recipe.data, seed), dataset.is_official is not None
        return cls(len(images.train_indices), len(images.validation), is_cifar10)

    @classmethod
    def for_cifar10(cls, recipe: Recipe) -> Workload:
        """Return the workload of `recipe` on CIFAR-10, without loading it."""
        validation = round(50_000 * recipe.data.validation_fraction) if recipe.data.split == "stratified" else 10_000
        return cls(50_000 - validation, validation, is_cifar10=True)


@dataclass(frozen=True)
class Forecast:
    """A recipe with a network for the time budget, and its forecast.

    Attributes:
        recipe: the recipe with the chosen network.
        precision: the precision to train in.
        images_per_second: expected training speed.
        epochs: expected number of epochs.
        accuracy: expected validation accuracy on CIFAR-10.
        accuracy_spread: two standard deviations of the accuracy.
        end_time: expected end, in seconds as of `time.time`.
        has_accuracy: whether `accuracy` applies to this dataset, recipe and device.
    """

    recipe: Recipe
    precision: Precision
    images_per_second: float
    epochs: float
    accuracy: float
    accuracy_spread: float
    end_time: float
    has_accuracy: bool

    def describe(self) -> str:
        """Return the forecast in words."""
        model = self.recipe.model
        widths = "/".join(str(width) for width in model.channels or [])
        training = (
            f"stem stride {model.stem_stride}, channels {widths}, about {self.epochs:.1f} epochs at "
            f"{self.images_per_second:,.0f} images/s"
        )
        if not self.has_accuracy:
            return f"{training}; no accuracy forecast for this dataset"
        return f"{training}; about {percent(self.accuracy)} ± {100 * self.accuracy_spread:.1f} points"

    def describe_with_end_time(self) -> str:
        """Return the forecast in words, with the time of day at which training ends."""
        until = time.strftime("%H:%M", time.localtime(self.end_time))
        return f"{self.describe()} by {until}." if self.has_accuracy else f"{self.describe()}; done by {until}."


def check_time_budget(recipe: Recipe) -> None:
    """Raise RecipeError if the network depends on a time budget that the recipe does not set."""
    if recipe.training.method == "auto" and recipe.training.minutes is None:
        raise RecipeError(
            f"recipe {recipe.name}: the training method depends on the time budget. Set training.minutes."
        )
    if recipe.model.needs_time_budget and recipe.training.minutes is None:
        raise RecipeError(
            f"recipe {recipe.name}: the network depends on the time budget. Set training.minutes, or model.stem_stride "
            "and model.channels."
        )


def forecast_training(
    recipe: Recipe,
    workload: Workload,
    deadline: Deadline | None = None,
    precision: PrecisionOption = "auto",
    device: Device = "cpu",
    law: ScalingLaw | None = None,
    progress: Progress = SILENT,
) -> Forecast:
    """Return the forecast of the candidate network with the highest expected accuracy.

    Candidates are probed from the smallest up, until a larger one has no higher expected accuracy.

    Args:
        recipe: its network is open and `training.minutes` is set.
        workload: number of images.
        deadline: the time budget; by default it starts now.
        precision: the requested precision.
        device: the device to train on.
        law: the shipped one by default.
        progress: gets a note if bfloat16 is wrong on this machine.

    Raises:
        RecipeError: `training.minutes` is not set, or the images are too small for every network.
        InputError: bf16 was requested and is wrong on this machine.
    """
    check_time_budget(recipe)
    deadline = deadline or Deadline.after(recipe.training.minutes)
    return _Planner(recipe, workload, deadline, precision, device, law or ScalingLaw.load(), progress).best()


@dataclass(frozen=True)
class _Planner:
    """The arguments of `forecast_training`."""

    recipe: Recipe
    workload: Workload
    deadline: Deadline
    precision: PrecisionOption
    device: Device
    law: ScalingLaw
    progress: Progress

    def best(self) -> Forecast:
        """Return the forecast of the best candidate for the time that is left after the probes."""
        first, *larger = _usable_candidates(self.recipe, self.law)
        precision = self._precision(first)
        best, speed = first, self._speed(first, precision)
        for candidate in larger:
            candidate_speed = self._speed(candidate, precision)
            seconds = self.deadline.remaining()
            if candidate.accuracy(self._image_count(candidate_speed, seconds)) <= best.accuracy(
                self._image_count(speed, seconds)
            ):
                break
            best, speed = candidate, candidate_speed
        chosen = precision if best is first else self._precision(best)
        return self._forecast(best, speed if chosen == precision else self._speed(best, chosen), chosen)

    def _forecast(self, candidate: Candidate, speed: float, precision: Precision) -> Forecast:
        seconds = self.deadline.remaining()
        n_images = self._image_count(speed, seconds)
        epochs = n_images / self.workload.n_train
        return Forecast(
            recipe=scale_lr_for_short_run(_with_model(self.recipe, candidate), epochs),
            precision=precision,
            images_per_second=speed,
            epochs=epochs,
            accuracy=candidate.accuracy(n_images),
            accuracy_spread=self.law.expected_spread(candidate, n_images),
            end_time=time.time() + seconds,
            has_accuracy=self.workload.is_cifar10 and self.device == "cpu" and _is_shipped_recipe(self.recipe),
        )

    def _image_count(self, speed: float, seconds: float) -> float:
        """Return how many images are trained on in `seconds`, which include validation, setup and exit."""
        validation = EVAL_COST * self.workload.n_validation
        warmup = EVAL_COST * WARMUP_EVALS * min(self.workload.n_validation, batch_size(self.recipe.data.image_size))
        images = speed * (seconds - self.law.setup_seconds - EXIT_SECONDS) - FINAL_EVALS * validation - warmup
        return max(0.0, images) * self.workload.n_train / (self.workload.n_train + validation)

    def _precision(self, candidate: Candidate) -> Precision:
        return precisions.resolve_precision(
            self.precision, _with_model(self.recipe, candidate), self.device, self.progress
        )

    def _speed(self, candidate: Candidate, precision: Precision) -> float:
        return candidate.efficiency * probe_images_per_second(
            _with_model(self.recipe, candidate), precision, self.device
        )


def scale_lr_for_short_run(recipe: Recipe, epochs: float) -> Recipe:
    """Return the recipe with the learning rate scaled up if the run is shorter than `SHORT_RUN_EPOCHS`."""
    if epochs >= SHORT_RUN_EPOCHS:
        return recipe
    rate = round(SHORT_RUN_LR_FACTOR * recipe.optimizer.learning_rate, 4)
    return recipe.model_copy(update={"optimizer": recipe.optimizer.model_copy(update={"learning_rate": rate})})


def probe_images_per_second(recipe: Recipe, precision: Precision, device: Device = "cpu") -> float:
    """Return the speed of forward and backward passes in a short probe."""
    size = recipe.data.image_size
    (seconds,) = step_seconds(build_network(recipe.model, 10, size).to(device), size, [precision])
    return PROBE_IMAGES / seconds


def _with_model(recipe: Recipe, candidate: Candidate) -> Recipe:
    return recipe.model_copy(update={"model": candidate.model(recipe.data.image_size)})


def _usable_candidates(recipe: Recipe, law: ScalingLaw) -> list[Candidate]:
    """Return the candidates that support the recipe's image size, at least one."""
    size = recipe.data.image_size
    candidates = [candidate for candidate in law.candidates if supports_image_size(candidate.model(size), size)]
    if size >= LARGE_IMAGE:  # where all stems have stride 2
        candidates = [candidate for candidate in candidates if candidate.stem_stride == 1] or candidates
    if not candidates:
        raise RecipeError(
            f"recipe {recipe.name}: images of {size}x{size} are too small for every network. Increase data.image_size."
        )
    return candidates


def _is_shipped_recipe(recipe: Recipe) -> bool:
    """Return whether the recipe differs only in `training.minutes` from the one that the law was fitted with."""
    untimed = recipe.model_copy(update={"training": recipe.training.model_copy(update={"minutes": None})})
    return untimed == loading.load_recipe("fast")


def resolve_recipe(
    recipe: Recipe,
    dataset: Dataset,
    deadline: Deadline | None = None,
    precision: PrecisionOption = "auto",
    device: Device = "cpu",
    progress: Progress = SILENT,
    network: NetworkFactory | None = None,
    seed: int = 0,
) -> tuple[Recipe, Precision]:
    """Return the recipe with its network filled in, and the precision to train in.

    If the network was open, the recipe is adapted to a small dataset, and the forecast is sent to `progress` as a note.
    `network` builds a custom network, and `seed` is that of the training.
    """
    if not recipe.model.needs_time_budget:
        num_classes = len(dataset.class_names)
        return recipe, precisions.resolve_precision(precision, recipe, device, progress, network, num_classes)
    workload = Workload.from_dataset(dataset, recipe, seed)
    adapted = small_data.adapt(recipe, workload.n_train)
    if adapted != recipe:
        progress.note(small_data.describe(adapted, workload.n_train))

    @cache
    def forecast_at(size: int) -> Forecast:
        sized = adapted.model_copy(update={"data": adapted.data.model_copy(update={"image_size": size})})
        return forecast_training(sized, workload, deadline, precision, device, progress=progress)

    if advice := image_size.advise(dataset, adapted, lambda size: forecast_at(size).epochs):
        progress.note(advice)
    forecast = forecast_at(adapted.data.image_size)
    progress.note(forecast.describe_with_end_time())
    return forecast.recipe, forecast.precision
