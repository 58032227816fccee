"""What is served: one run, opened once, with all that is asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinysight.data import cifar10
from tinysight.data.dataset import Labels, Pixels
from tinysight.data.html import as_url
from tinysight.errors import InputError
from tinysight.evaluation.images import images_of
from tinysight.explanation.heat import heat_maps
from tinysight.explanation.neighbours import Memory
from tinysight.models.classifier import Classifier, likeliest
from tinysight.packages import version
from tinysight.reporting.card import Card
from tinysight.runs.run import Run
from tinysight.serving.answers import Answer, Choice, Explanation, ModelFacts, Neighbour
from tinysight.training.images import cut

NEIGHBOURS = 3


@dataclass(frozen=True)
class Learned:
    """The images that a classifier has learned from, and their features."""

    memory: Memory
    pixels: Pixels
    labels: Labels


class Served:
    """A run that is served. A request never names another one."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._learned: Learned | None = None
        self.classifier: Classifier = run.classifier()

    @cached_property
    def facts(self) -> ModelFacts:
        """What a user must know of it."""
        card = Card.of(self.run)
        accuracy = next((figure.value for figure in card.figures if figure.name == "accuracy"), None)
        return ModelFacts(
            recipe=card.recipe,
            dataset=card.dataset,
            classes=list(card.classes),
            image_size=card.image_size,
            unsure_below=self.classifier.unsure_below,
            accuracy=accuracy,
            remarks=list(card.remarks),
            not_for=list(card.misuse),
        )

    def answer(self, probabilities: np.ndarray, top: int) -> Answer:
        """Return the `top` likeliest classes, the likeliest first."""
        order = likeliest(probabilities, top)
        names = self.classifier.class_names
        choices = [Choice(name=names[i], index=int(i), probability=float(probabilities[i])) for i in order]
        return Answer(top=choices, unsure=choices[0].probability < self.classifier.unsure_below)

    def explain(self, pixels: Pixels, label: int) -> Explanation:
        """Return why an image, (3, height, width), is told to be of class `label`."""
        (heat,) = heat_maps(self.classifier, pixels[None], np.array([label]))
        rows = [[round(float(value), 3) for value in row] for row in heat]
        return Explanation(heat=rows, picture=as_url(pixels), neighbours=self._neighbours(pixels))

    def remember(self) -> None:
        """Make ready to find the nearest of the training images, if they are still there; nothing is downloaded."""
        environment = self.run.environment()
        if self._learned is not None:
            return
        if environment.dataset.argument == "cifar10" and cifar10.find() is None:
            return
        try:
            images = cut(images_of(self.run), self.run.recipe().data, environment.seed)
        except InputError:
            return
        pixels, labels = images.train.pixels[images.learn], images.train.labels[images.learn]
        self._learned = Learned(Memory(self.classifier, pixels), pixels, labels)

    def _neighbours(self, pixels: Pixels) -> list[Neighbour]:
        if self._learned is None:
            return []
        names, learned = self.classifier.class_names, self._learned
        near = learned.memory.nearest(pixels[None], NEIGHBOURS).indices[0]
        return [Neighbour(label=names[learned.labels[i]], picture=as_url(learned.pixels[i])) for i in near]

    @property
    def explains(self) -> bool:
        """Whether what explanations need is installed."""
        return version("captum") is not None
