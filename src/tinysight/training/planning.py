"""How to spend some minutes: the network whose training comes furthest in them, and how far it is likely to come.

A law fitted to measured trainings (`benchmarks/law.py`) says how the error of each network falls with the images that
it has seen; a probe of a second or two says how many it will see on this machine.
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
from tinysight.training import precision
from tinysight.training.clock import ENDING
from tinysight.training.device import Device
from tinysight.training.images import cut
from tinysight.training.precision import PROBED, Asked, Precision, step_seconds

LAW = Path(__file__).with_name("law.toml")
LOOK = 1 / 3  # of a step is what a look at as many validation images costs: the way forward without the way back
CALIBRATION = 3  # such looks follow the last epoch: one of them in float32, which takes twice as long
TRIAL = 6  # looks at `batch_size` images come before the first step, to learn how long looks take; counted likewise
BRIEF = 3.5  # epochs; trainings shorter than that end ahead with rates BRISK times as high (docs/experiments.md)
BRISK = 1.7


@dataclass(frozen=True)
class Rung:
    """One network, and the law of its error after a training on `n` images in all: floor + scale / n^power.

    Attributes:
        efficiency: how many images a second the steps of a training see, over how many the probe promises.
    """

    stem: Literal["fine", "coarse"]
    widths: tuple[int, ...]
    floor: float
    scale: float
    power: float
    efficiency: float

    @property
    def model(self) -> Model:
        """What the recipe says of it."""
        return Model(architecture="fast", stem=self.stem, widths=list(self.widths))

    def accuracy(self, seen: float) -> float:
        """Return the accuracy to expect after so many images of CIFAR-10, the same ones again included."""
        return max(0.0, 1 - self.floor - self.scale * math.pow(max(1.0, seen), -self.power))


@dataclass(frozen=True)
class Law:
    """The networks, cheapest first, and how far from the law one training may end.

    Attributes:
        spread: of the accuracy after as many images as were foretold.
        pace_spread: of the logarithm of how many these are: machines are not always as fast as in the probe.
        setup: seconds between the images in memory and the first step, without those of probes and trials.
    """

    rungs: tuple[Rung, ...]
    spread: float
    pace_spread: float
    setup: float

    @classmethod
    def read(cls) -> Law:
        """Return the law that was measured."""
        values = tomllib.loads(LAW.read_text(encoding="utf-8"))
        rungs = tuple(Rung(**{**rung, "widths": tuple(rung["widths"])}) for rung in values["rung"])
        return cls(rungs, values["spread"], values["pace_spread"], values["setup"])

    def spread_of(self, rung: Rung, seen: float) -> float:
        """Return by how much a training on about `seen` images may end more or less accurate than expected."""
        slower = rung.accuracy(seen) - rung.accuracy(seen * math.exp(-self.pace_spread))
        return math.hypot(self.spread, slower)


@dataclass(frozen=True)
class Work:
    """How much there is to do.

    Attributes:
        learn: images to learn from.
        validation: images to be held against after every epoch.
        measured: whether the law was measured on these very images.
    """

    learn: int
    validation: int
    measured: bool

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe) -> Work:
        """Return the work that `recipe` makes of a dataset."""
        images, is_cifar10 = cut(dataset, recipe.data, seed=0), dataset.published is not None
        return cls(len(images.learn), len(images.validation), is_cifar10)

    @classmethod
    def of_cifar10(cls, recipe: Recipe) -> Work:
        """Return the work that `recipe` makes of CIFAR-10, without having it."""
        validation = round(50_000 * recipe.data.validation) if recipe.data.split == "stratified" else 10_000
        return cls(50_000 - validation, validation, measured=True)


@dataclass(frozen=True)
class Outlook:
    """A recipe for some minutes, and what it is likely to come to.

    Attributes:
        recipe: with a network and a time.
        precision: that it is to be trained in.
        images_per_second: at which it will learn.
        epochs: how many it will make.
        accuracy: on images of CIFAR-10 that it has not learned from.
        spread: what the accuracy may differ by.
        ends: by the clock on the wall, in seconds as `time.time` has them.
        measured: whether that accuracy says anything of the images in question.
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
        """Say what is to come."""
        model = self.recipe.model
        widths = "/".join(str(width) for width in model.widths or [])
        work = (
            f"{model.stem} stem, {widths} channels, about {self.epochs:.1f} epochs at "
            f"{self.images_per_second:,.0f} images/s"
        )
        if not self.measured:
            return f"{work}. How accurate it gets on these images, nobody has measured"
        return f"{work}; about {self.accuracy:.1%} ± {100 * self.spread:.1f}"

    def words_until(self) -> str:
        """Say what is to come, and by what time of the day."""
        until = time.strftime("%H:%M", time.localtime(self.ends))
        return f"{self.words()} by {until}." if self.measured else f"{self.words()}; done by {until}."


def require_time(recipe: Recipe) -> None:
    """Raise RecipeError if the recipe leaves the network to a time that it does not give."""
    if recipe.model.is_open and recipe.training.minutes is None:
        raise RecipeError(f"The recipe {recipe.name} leaves the network to the time there is: say it by --minutes M.")


def plan(
    recipe: Recipe,
    work: Work,
    begun: float | None = None,
    asked: Asked = "auto",
    device: Device = "cpu",
    law: Law | None = None,
    progress: Progress = SILENT,
) -> Outlook:
    """Return the recipe with the network that is likely to come furthest.

    The probes go on to a larger network as long as the larger one promises more.

    Args:
        recipe: leaves the network open and says how many minutes there are.
        work: what there is to learn.
        begun: when these minutes began, by `time.perf_counter`; now unless given.
        asked: the precision to train in.
        device: what to train on.
        law: the measured one unless given.
        progress: is told if bfloat16 is wrong on this machine.

    Raises:
        RecipeError: the recipe gives no time, or the images are too small for every network.
        InputError: bf16 was asked for by name and is wrong on this machine.
    """
    require_time(recipe)
    begun = time.perf_counter() if begun is None else begun
    return _Planner(recipe, work, begun, asked, device, law or Law.read(), progress).best()


@dataclass(frozen=True)
class _Planner:
    """Holds what `plan` was given."""

    recipe: Recipe
    work: Work
    begun: float
    asked: Asked
    device: Device
    law: Law
    progress: Progress

    def best(self) -> Outlook:
        """Return the outlook of the network that comes furthest, with what is left of the time after the probes."""
        first, *larger = _fitting(self.recipe, self.law)
        numbers = self._precision(first)
        rung, speed = first, self._speed(first, numbers)
        for other in larger:
            its_speed = self._speed(other, numbers)
            left = self._seconds_left()
            if other.accuracy(self._seen(its_speed, left)) <= rung.accuracy(self._seen(speed, left)):
                break
            rung, speed = other, its_speed
        chosen = numbers if rung is first else self._precision(rung)
        return self._outlook(rung, speed if chosen == numbers else self._speed(rung, chosen), chosen)

    def _outlook(self, rung: Rung, speed: float, numbers: Precision) -> Outlook:
        seconds = self._seconds_left()
        seen = self._seen(speed, seconds)
        epochs = seen / self.work.learn
        known = self.work.measured and self.device == "cpu" and _as_shipped(self.recipe)
        return Outlook(
            paced(_with(self.recipe, rung), epochs),
            numbers,
            speed,
            epochs,
            rung.accuracy(seen),
            self.law.spread_of(rung, seen),
            time.time() + seconds,
            known,
        )

    def _seconds_left(self) -> float:
        return 60 * (self.recipe.training.minutes or 0) - (time.perf_counter() - self.begun)

    def _seen(self, speed: float, seconds: float) -> float:
        """Return how many images are learned from in so many seconds, looks and all else that takes time included."""
        look = LOOK * self.work.validation
        trial = LOOK * TRIAL * min(self.work.validation, batch_size(self.recipe.data.image_size))
        images = speed * (seconds - self.law.setup - ENDING) - CALIBRATION * look - trial
        return max(0.0, images) * self.work.learn / (self.work.learn + look)

    def _precision(self, rung: Rung) -> Precision:
        return precision.choose(self.asked, _with(self.recipe, rung), self.device, self.progress)

    def _speed(self, rung: Rung, numbers: Precision) -> float:
        return rung.efficiency * images_per_second(_with(self.recipe, rung), numbers, self.device)


def paced(recipe: Recipe, epochs: float) -> Recipe:
    """Return the recipe with the learning rate that suits so many epochs."""
    if epochs >= BRIEF:
        return recipe
    rate = round(BRISK * recipe.optimiser.learning_rate, 4)
    return recipe.model_copy(update={"optimiser": recipe.optimiser.model_copy(update={"learning_rate": rate})})


def images_per_second(recipe: Recipe, numbers: Precision, device: Device = "cpu") -> float:
    """Return what the probe promises of a training: images forward and backward, and nothing else."""
    size = recipe.data.image_size
    (seconds,) = step_seconds(build(recipe.model, 10, size).to(device), size, [numbers])
    return PROBED / seconds


def _with(recipe: Recipe, rung: Rung) -> Recipe:
    return recipe.model_copy(update={"model": rung.model})


def _fitting(recipe: Recipe, law: Law) -> list[Rung]:
    """Return the networks that the images are large enough for, at least one."""
    fitting = [rung for rung in law.rungs if takes(rung.model, recipe.data.image_size)]
    if not fitting:
        size = recipe.data.image_size
        raise RecipeError(
            f"Images of {size}x{size} are too small for every network of the recipe {recipe.name}; take a larger "
            "data.image_size."
        )
    return fitting


def _as_shipped(recipe: Recipe) -> bool:
    """Return whether nothing but the time differs from the recipe that the law was measured with."""
    untimed = recipe.model_copy(update={"training": recipe.training.model_copy(update={"minutes": None})})
    return untimed == loading.load("fast")
