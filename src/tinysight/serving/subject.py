"""What is served: one run, opened once, with all that is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property

import numpy as np

from tinysight.data.dataset import Pixels
from tinysight.data.html import as_url
from tinysight.errors import InputError
from tinysight.evaluation.images import at_hand, images_of
from tinysight.explanation.heat import heat_maps
from tinysight.explanation.learned import Learned
from tinysight.models.classifier import Classifier, likeliest
from tinysight.packages import version
from tinysight.progress import Silent
from tinysight.reporting.card import Card
from tinysight.runs.run import Run
from tinysight.serving.answers import Answer, Choice, Explanation, ModelFacts, Neighbour

NEIGHBOURS = 3


class _EndedError(Exception):
    """Nobody wants it any more."""


class _Until(Silent):
    """Ends work, where it says how far it is, once it is not wanted any more."""

    def __init__(self, ended: Callable[[], bool]) -> None:
        self._ended = ended

    def advance(self, amount: int, **figures: float) -> None:
        """Raise _EndedError if it is over."""
        if self._ended():
            raise _EndedError


class Served:
    """A run that is served. A request never names another one."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._learned: Learned | None = None
        self._ended = False
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
        with suppress(_EndedError):
            self._learned = self._learned or self._remembered()

    def forget(self) -> None:
        """Stop remembering, if that is not done yet."""
        self._ended = True

    def _remembered(self) -> Learned | None:
        if not at_hand(self.run):
            return None
        try:
            return Learned.by(self.run, self.classifier, images_of(self.run), _Until(lambda: self._ended))
        except InputError:
            return None

    def _neighbours(self, pixels: Pixels) -> list[Neighbour]:
        if self._learned is None:
            return []
        names, learned = self.classifier.class_names, self._learned.part
        near = self._learned.memory.nearest(pixels[None], NEIGHBOURS).indices[0]
        return [Neighbour(label=names[learned.labels[i]], picture=as_url(learned.pixels[i])) for i in near]

    @property
    def explains(self) -> bool:
        """Whether what explanations need is installed."""
        return version("captum") is not None
