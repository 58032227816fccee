"""The served model: a run's classifier, description and explanations."""

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


class _CancelledError(Exception):
    """Indexing was cancelled."""


class _CancellableProgress(Silent):
    """Progress that raises once the work is cancelled."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled

    def advance(self, amount: int, **figures: float) -> None:
        """Raise _CancelledError if the work is cancelled."""
        if self._cancelled():
            raise _CancelledError


class Served:
    """A run with its classifier loaded. Requests cannot choose another run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._index: Learned | None = None
        self._cancelled = False
        self.classifier: Classifier = run.classifier()

    @cached_property
    def facts(self) -> ModelFacts:
        """Description of the classifier, from its model card."""
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
        """Return the `top` most probable classes, in descending order.

        Args:
            probabilities: (classes,).
            top: number of classes.
        """
        names = self.classifier.class_names
        choices = [
            Choice(name=names[i], index=int(i), probability=float(probabilities[i]))
            for i in likeliest(probabilities, top)
        ]
        return Answer(top=choices, unsure=choices[0].probability < self.classifier.unsure_below)

    def explain(self, pixels: Pixels, label: int) -> Explanation:
        """Explain why an image, (3, height, width), is assigned to class `label`."""
        (heat,) = heat_maps(self.classifier, pixels[None], np.array([label]))
        rows = [[round(float(value), 3) for value in row] for row in heat]
        return Explanation(heat=rows, picture=as_url(pixels), neighbours=self._neighbors(pixels))

    def remember(self) -> None:
        """Build the index of training-image features, if the images are local; nothing is downloaded."""
        with suppress(_CancelledError):
            self._index = self._index or self._build_index()

    def forget(self) -> None:
        """Cancel the indexing if it is running."""
        self._cancelled = True

    def _build_index(self) -> Learned | None:
        if not at_hand(self.run):
            return None
        try:
            progress = _CancellableProgress(lambda: self._cancelled)
            return Learned.by(self.run, self.classifier, images_of(self.run), progress)
        except InputError:
            return None

    def _neighbors(self, pixels: Pixels) -> list[Neighbour]:
        if self._index is None:
            return []
        names, train = self.classifier.class_names, self._index.part
        indices = self._index.memory.nearest(pixels[None], NEIGHBOURS).indices[0]
        return [Neighbour(label=names[train.labels[i]], picture=as_url(train.pixels[i])) for i in indices]

    @property
    def explains(self) -> bool:
        """Whether the packages for explanations are installed."""
        return version("captum") is not None
