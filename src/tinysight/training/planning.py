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
from tinysight.models.registry import build, takes
from tinysight.recipes import loading
from tinysight.recipes.schema import Model, Recipe
from tinysight.training import precision
from tinysight.training.device import Device
from tinysight.training.images import cut
from tinysight.training.precision import PROBED, Asked, Precision, step_seconds

LAW = Path(__file__).with_name("law.toml")
LOOK = 1 / 3  # of a step is what a look at as many validation images costs: the way forward without the way back
CALIBRATION = 3  # such looks follow the last epoch: one of them in float32, which takes twice as long


@dataclass(frozen=True)
class Rung:
    """One network, and the law of its error after a training on `n` images in all: floor + scale / n^power.

    Attributes:
        efficiency: how many images a second a whole training sees, over how many the probe promises.
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
    """The networks, cheapest first, and how far from the law one training may end."""

    rungs: tuple[Rung, ...]
    spread: float

    @classmethod
    def read(cls) -> Law:
        """Return the law that was measured."""
        values = tomllib.loads(LAW.read_text(encoding="utf-8"))
        rungs = tuple(Rung(**{**rung, "widths": tuple(rung["widths"])}) for rung in values["rung"])
        return cls(rungs, values["spread"])


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
        images_per_second: at which it will learn.
        epochs: how many it will make.
        accuracy: on images of CIFAR-10 that it has not learned from.
        spread: what the accuracy may differ by.
        ends: by the clock on the wall, in seconds as `time.time` has them.
        measured: whether that accuracy says anything of the images in question.
    """

    recipe: Recipe
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
    gone: float = 0.0,
    asked: Asked = "auto",
    device: Device = "cpu",
    law: Law | None = None,
) -> Outlook:
    """Return the recipe with the network that is likely to come furthest.

    The probes go on to a larger network as long as the larger one promises more.

    Args:
        recipe: leaves the network open and says how many minutes there are.
        work: what there is to learn.
        gone: how many seconds of these minutes are over.
        asked: the precision to train in.
        device: what to train on.
        law: the measured one unless given.

    Raises:
        RecipeError: the recipe gives no time, or the images are too small for every network.
        InputError: bf16 was asked for by name and is wrong on this machine.
    """
    require_time(recipe)
    law, seconds = law or Law.read(), 60 * (recipe.training.minutes or 0) - gone
    known = work.measured and device == "cpu" and _as_shipped(recipe)
    first, *larger = _fitting(recipe, law)
    numbers = precision.choose(asked, _with(recipe, first), device)

    def outlook(rung: Rung) -> Outlook:
        settled = _with(recipe, rung)
        speed = rung.efficiency * images_per_second(settled, numbers, device)
        look = LOOK * work.validation
        epochs = max(0.0, seconds * speed - CALIBRATION * look) / (work.learn + look)
        accuracy = rung.accuracy(epochs * work.learn)
        return Outlook(settled, speed, epochs, accuracy, law.spread, time.time() + seconds, known)

    best = outlook(first)
    for rung in larger:
        other = outlook(rung)
        if other.accuracy <= best.accuracy:
            break
        best = other
    return best


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
