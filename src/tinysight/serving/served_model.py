"""The served model: a run's classifier, description and explanations."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property

import numpy as np

from tinysight._util.errors import InputError
from tinysight._util.optional_deps import version
from tinysight._util.progress import SilentProgress
from tinysight.data.dataset import Pixels
from tinysight.data.image_html import to_data_uri
from tinysight.explanation.feature_index import TrainingIndex
from tinysight.explanation.occlusion import occlusion_maps
from tinysight.models.classifier import Classifier, top_k
from tinysight.models.conformal import prediction_set
from tinysight.models.predictor import is_unlike_training
from tinysight.reporting.card import Card
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import is_local, open_dataset
from tinysight.serving.schemas import (
    ExplanationResponse,
    LabelsResponse,
    ModelInfo,
    NeighborImage,
    PredictResponse,
    TopClass,
)

N_NEIGHBORS = 3


class _CancelledError(Exception):
    """Indexing was cancelled."""


class _CancellableProgress(SilentProgress):
    """Progress that raises once the work is cancelled."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled

    def advance(self, amount: int, **metrics: float) -> None:
        """Raise _CancelledError if the work is cancelled."""
        if self._cancelled():
            raise _CancelledError


class ServedModel:
    """A run with its classifier loaded. Requests cannot choose another run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._index: TrainingIndex | None = None
        self._cancelled = False
        self.classifier: Classifier = run.classifier()

    @cached_property
    def info(self) -> ModelInfo:
        """Description of the classifier, from its model card."""
        card = Card.from_run(self.run)
        metrics = {metric.name.split()[0]: metric for metric in reversed(card.metrics)}
        accuracy, precision = metrics.get("accuracy"), metrics.get("mean_average_precision")
        return ModelInfo(
            recipe=card.recipe,
            dataset=card.dataset,
            task=card.task,
            classes=list(card.classes),
            image_size=card.image_size,
            abstain_below=self.classifier.abstain_below,
            set_threshold=self.classifier.set_threshold,
            thresholds=list(self.classifier.thresholds),
            accuracy=accuracy and accuracy.value,
            accuracy_ci95=accuracy and accuracy.interval,
            mean_average_precision=precision and precision.value,
            evaluated_on=card.evaluated_on,
            notes=list(card.notes),
            not_for=list(card.out_of_scope),
        )

    def to_response(
        self, probabilities: np.ndarray, top: int, ood_score: float = math.nan
    ) -> PredictResponse | LabelsResponse:
        """Return the `top` most probable classes, in descending order, and the labels that an image gets, if several.

        Args:
            probabilities: (classes,).
            top: number of classes.
            ood_score: the OOD score of the image; NaN if the classifier has no OOD detector.
        """
        unlike = is_unlike_training(ood_score, self.classifier.ood_threshold)
        names, thresholds = self.classifier.class_names, self.classifier.thresholds
        choices = [
            TopClass(name=names[i], index=int(i), probability=float(probabilities[i]))
            for i in top_k(probabilities, max(top, len(thresholds)))
        ]
        if thresholds:
            labels = [choice for choice in choices if choice.probability >= thresholds[choice.index]]
            return LabelsResponse(labels=labels, top=choices[:top], unlike_training=unlike)
        return PredictResponse(
            top=choices,
            unsure=choices[0].probability < self.classifier.abstain_below,
            prediction_set=prediction_set(probabilities, self.classifier.set_threshold, names),
            unlike_training=unlike,
        )

    def explain(self, pixels: Pixels, label: int) -> ExplanationResponse:
        """Explain why an image, (3, height, width), is assigned to class `label`."""
        (occlusion_map,) = occlusion_maps(self.classifier, pixels[None], np.array([label]))
        rows = [[round(float(value), 3) for value in row] for row in occlusion_map]
        return ExplanationResponse(occlusion_map=rows, image=to_data_uri(pixels), neighbors=self._neighbors(pixels))

    def build_index(self) -> None:
        """Build the index of training-image features, if the images are local; nothing is downloaded."""
        with suppress(_CancelledError):
            self._index = self._index or self._build_index()

    def cancel_index(self) -> None:
        """Cancel the indexing if it is running."""
        self._cancelled = True

    def _build_index(self) -> TrainingIndex | None:
        if not is_local(self.run):
            return None
        try:
            progress = _CancellableProgress(lambda: self._cancelled)
            return TrainingIndex.of_run(self.run, self.classifier, open_dataset(self.run), progress)
        except InputError:
            return None

    def _neighbors(self, pixels: Pixels) -> list[NeighborImage]:
        if self._index is None:
            return []
        names, train = self.classifier.class_names, self._index.split
        indices = self._index.index.nearest(pixels[None], N_NEIGHBORS).indices[0]
        return [NeighborImage(label=names[train.labels[i]], image=to_data_uri(train.pixels[i])) for i in indices]

    @property
    def can_explain(self) -> bool:
        """Whether the packages for explanations are installed, and an image has one class."""
        return version("captum") is not None and self.classifier.task == "multi-class"
