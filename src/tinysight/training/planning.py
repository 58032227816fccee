"""Choose a network for a time budget from a fitted scaling law.

The scaling law (fitted by `benchmarks/law.py`) gives each network's error as a function of the images trained on. A
speed probe of one or two seconds gives the number of images that this machine can train on in the time.
"""

from __future__ import annotations

import math
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinysight.data.dataset import Dataset
from tinysight.errors import RecipeError
from tinysight.models.classifier import batch_size
from tinysight.models.registry import build, takes
from tinysight.progress import SILENT, Progress
from tinysight.recipes import loading
from tinysight.recipes.schema import Model, Recipe
from tinysight.training import precision as precisions
from tinysight.training.clock import ENDING
from tinysight.training.device import Device
from tinysight.training.images import cut
from tinysight.training.precision import PROBED, Asked, Precision, step_seconds

LAW = Path(__file__).with_name("law.toml")
LOOK = 1 / 3  # cost of a validation relative to training on as many images: the forward pass only
CALIBRATION = 3  # validations after the last epoch, in units of one: one is in float32, which takes twice as long
TRIAL = 6  # validations of `batch_size` images before the first step, to time them; same units
BRIEF = 3.5  # epochs; shorter runs are more accurate with BRISK times the learning rates (docs/experiments.md)
BRISK = 1.7


@dataclass(frozen=True)
class Rung:
    """A candidate network and its error after training on `n` images: floor + scale / n^power.

    Attributes:
        efficiency: images per second in training, relative to the speed probe.
    """

    stem: Literal["fine", "coarse"]
    widths: tuple[int, ...]
    floor: float
    scale: float
    power: float
    efficiency: float

    @property
    def model(self) -> Model:
        """The recipe's model section for this network."""
        return Model(architecture="fast", stem=self.stem, widths=list(self.widths))

    def accuracy(self, seen: float) -> float:
        """Return the expected accuracy after training on `seen` CIFAR-10 images, counted once per epoch."""
        return max(0.0, 1 - self.floor - self.scale * math.pow(max(1.0, seen), -self.power))


@dataclass(frozen=True)
class Law:
    """The candidate networks, cheapest first, and the spread of single runs around the scaling law.

    Attributes:
        spread: two standard deviations of the accuracy at a given number of images.
        pace_spread: two standard deviations of the log of the training speed relative to the probe.
        setup: seconds from the loaded dataset to the first step, without probes and timing.
    """

    rungs: tuple[Rung, ...]
    spread: float
    pace_spread: float
    setup: float

    @classmethod
    def read(cls) -> Law:
        """Return the fitted law shipped with tinysight."""
        values = tomllib.loads(LAW.read_text(encoding="utf-8"))
        rungs = tuple(
            Rung(row["stem"], tuple(row["widths"]), row["floor"], row["scale"], row["power"], row["efficiency"])
            for row in values["rung"]
        )
        return cls(rungs, values["spread"], values["pace_spread"], values["setup"])

    def spread_of(self, rung: Rung, seen: float) -> float:
        """Return the accuracy's spread after about `seen` images, from both sources of variation."""
        slower = rung.accuracy(seen) - rung.accuracy(seen * math.exp(-self.pace_spread))
        return math.hypot(self.spread, slower)


@dataclass(frozen=True)
class Work:
    """Size of a training task.

    Attributes:
        learn: number of training images.
        validation: number of validation images.
        measured: whether the dataset is CIFAR-10, on which the law was fitted.
    """

    learn: int
    validation: int
    measured: bool

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe) -> Work:
        """Return the workload of `recipe` on a dataset."""
        images, is_cifar10 = cut(dataset, recipe.data, seed=0), dataset.published is not None
        return cls(len(images.learn), len(images.validation), is_cifar10)

    @classmethod
    def of_cifar10(cls, recipe: Recipe) -> Work:
        """Return the workload of `recipe` on CIFAR-10, without loading it."""
        validation = round(50_000 * recipe.data.validation) if recipe.data.split == "stratified" else 10_000
        return cls(50_000 - validation, validation, measured=True)


@dataclass(frozen=True)
class Outlook:
    """A recipe with a network for the time budget, and its forecast.

    Attributes:
        recipe: the recipe with the chosen network.
        precision: the precision to train in.
        images_per_second: expected training speed.
        epochs: expected number of epochs.
        accuracy: expected validation accuracy on CIFAR-10.
        spread: two standard deviations of the accuracy.
        ends: expected end, in seconds as of `time.time`.
        measured: whether `accuracy` applies to this dataset, recipe and device.
    """

    recipe: Recipe
    precision: Precision
    images_per_second: float
    epochs: float
    accuracy: float
    spread: float
    ends: float
    measured: bool

    def words(self) -> str:
        """Return the forecast in words."""
        model = self.recipe.model
        widths = "/".join(str(width) for width in model.widths or [])
        training = (
            f"{model.stem} stem, {widths} channels, about {self.epochs:.1f} epochs at "
            f"{self.images_per_second:,.0f} images/s"
        )
        if not self.measured:
            return f"{training}; no accuracy forecast for this dataset"
        return f"{training}; about {self.accuracy:.1%} ± {100 * self.spread:.1f}"

    def words_until(self) -> str:
        """Return the forecast in words, with the time of day at which training ends."""
        until = time.strftime("%H:%M", time.localtime(self.ends))
        return f"{self.words()} by {until}." if self.measured else f"{self.words()}; done by {until}."


def require_time(recipe: Recipe) -> None:
    """Raise RecipeError if the network depends on a time budget that the recipe does not set."""
    if recipe.model.is_open and recipe.training.minutes is None:
        raise RecipeError(
            f"recipe {recipe.name}: the network depends on the time budget. Set training.minutes, or model.stem and "
            "model.widths."
        )


def plan(
    recipe: Recipe,
    work: Work,
    begun: float | None = None,
    asked: Asked = "auto",
    device: Device = "cpu",
    law: Law | None = None,
    progress: Progress = SILENT,
) -> Outlook:
    """Return the forecast of the candidate network with the highest expected accuracy.

    Candidates are probed from the smallest up, until a larger one has no higher expected accuracy.

    Args:
        recipe: its network is open and `training.minutes` is set.
        work: number of images.
        begun: start of the time budget, as of `time.perf_counter`; now by default.
        asked: the requested precision.
        device: the device to train on.
        law: the shipped one by default.
        progress: gets a note if bfloat16 is wrong on this machine.

    Raises:
        RecipeError: `training.minutes` is not set, or the images are too small for every network.
        InputError: bf16 was requested and is wrong on this machine.
    """
    require_time(recipe)
    begun = time.perf_counter() if begun is None else begun
    return _Planner(recipe, work, begun, asked, device, law or Law.read(), progress).best()


@dataclass(frozen=True)
class _Planner:
    """The arguments of `plan`."""

    recipe: Recipe
    work: Work
    begun: float
    asked: Asked
    device: Device
    law: Law
    progress: Progress

    def best(self) -> Outlook:
        """Return the forecast of the best candidate for the time that is left after the probes."""
        first, *larger = _usable_rungs(self.recipe, self.law)
        precision = self._precision(first)
        best, speed = first, self._speed(first, precision)
        for rung in larger:
            rung_speed = self._speed(rung, precision)
            seconds = self._seconds_left()
            if rung.accuracy(self._seen(rung_speed, seconds)) <= best.accuracy(self._seen(speed, seconds)):
                break
            best, speed = rung, rung_speed
        chosen = precision if best is first else self._precision(best)
        return self._outlook(best, speed if chosen == precision else self._speed(best, chosen), chosen)

    def _outlook(self, rung: Rung, speed: float, precision: Precision) -> Outlook:
        seconds = self._seconds_left()
        seen = self._seen(speed, seconds)
        epochs = seen / self.work.learn
        return Outlook(
            recipe=paced(_with_model(self.recipe, rung), epochs),
            precision=precision,
            images_per_second=speed,
            epochs=epochs,
            accuracy=rung.accuracy(seen),
            spread=self.law.spread_of(rung, seen),
            ends=time.time() + seconds,
            measured=self.work.measured and self.device == "cpu" and _is_shipped_recipe(self.recipe),
        )

    def _seconds_left(self) -> float:
        return 60 * (self.recipe.training.minutes or 0) - (time.perf_counter() - self.begun)

    def _seen(self, speed: float, seconds: float) -> float:
        """Return how many images are trained on in `seconds`, which include validation, setup and exit."""
        validation = LOOK * self.work.validation
        warmup = LOOK * TRIAL * min(self.work.validation, batch_size(self.recipe.data.image_size))
        images = speed * (seconds - self.law.setup - ENDING) - CALIBRATION * validation - warmup
        return max(0.0, images) * self.work.learn / (self.work.learn + validation)

    def _precision(self, rung: Rung) -> Precision:
        return precisions.choose(self.asked, _with_model(self.recipe, rung), self.device, self.progress)

    def _speed(self, rung: Rung, precision: Precision) -> float:
        return rung.efficiency * images_per_second(_with_model(self.recipe, rung), precision, self.device)


def paced(recipe: Recipe, epochs: float) -> Recipe:
    """Return the recipe with the learning rate scaled up if the run is shorter than `BRIEF` epochs."""
    if epochs >= BRIEF:
        return recipe
    rate = round(BRISK * recipe.optimiser.learning_rate, 4)
    return recipe.model_copy(update={"optimiser": recipe.optimiser.model_copy(update={"learning_rate": rate})})


def images_per_second(recipe: Recipe, numbers: Precision, device: Device = "cpu") -> float:
    """Return the speed of forward and backward passes in a short probe."""
    size = recipe.data.image_size
    (seconds,) = step_seconds(build(recipe.model, 10, size).to(device), size, [numbers])
    return PROBED / seconds


def _with_model(recipe: Recipe, rung: Rung) -> Recipe:
    return recipe.model_copy(update={"model": rung.model})


def _usable_rungs(recipe: Recipe, law: Law) -> list[Rung]:
    """Return the candidates that support the recipe's image size, at least one."""
    rungs = [rung for rung in law.rungs if takes(rung.model, recipe.data.image_size)]
    if not rungs:
        size = recipe.data.image_size
        raise RecipeError(
            f"recipe {recipe.name}: images of {size}x{size} are too small for every network. Increase data.image_size."
        )
    return rungs


def _is_shipped_recipe(recipe: Recipe) -> bool:
    """Return whether the recipe differs only in `training.minutes` from the one that the law was fitted with."""
    untimed = recipe.model_copy(update={"training": recipe.training.model_copy(update={"minutes": None})})
    return untimed == loading.load("fast")
