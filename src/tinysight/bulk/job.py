"""The job of a batch-prediction worker: classify the images of a shard and write its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from tinysight._util.allocator import tune_malloc
from tinysight._util.errors import ImageError, RunError
from tinysight.bulk.output import MULTI_LABEL_SCHEMA, SCHEMA, ParquetOutput
from tinysight.bulk.readers import RawImage, read_images
from tinysight.bulk.shards import Shard
from tinysight.bulk.storage import RemotePath
from tinysight.data.image_io import read_crops
from tinysight.models.classifier import top_k
from tinysight.models.conformal import prediction_set
from tinysight.models.predictor import ModelSource, Outputs, Predictor, is_unlike_training

_CHUNK = 512  # images decoded before they are classified: fits into memory and fills whole batches

NumberedShard = tuple[int, Shard]
"""A shard and its number, counted from 0 in input order."""


@dataclass(frozen=True)
class ShardResult:
    """Counts of a finished shard.

    Attributes:
        input_bytes: input bytes.
        rows: rows written.
        errors: how many of the rows hold an error instead of a prediction.
    """

    input_bytes: int
    rows: int
    errors: int


@dataclass(frozen=True)
class Job:
    """The settings of a job, sent to every worker.

    Attributes:
        model: where the classifier is stored.
        top: number of classes per row.
        source: the images.
        output: the directory of the rows.
    """

    model: ModelSource
    top: int
    source: RemotePath
    output: ParquetOutput

    def run_shard(self, numbered: NumberedShard) -> ShardResult:
        """Predict a shard and write its rows. Idempotent."""
        number, shard = numbered
        torch.set_num_threads(1)  # one worker per core
        self.output.check_visible()
        classifier = _classifier(self.model)
        batches = predict_rows(classifier, self.top, read_images(self.source, shard))
        return ShardResult(shard.size, *self.output.write_shard(number, shard, batches, _schema(classifier)))


@lru_cache(maxsize=1)
def _classifier(source: ModelSource) -> Predictor:
    """Load the classifier once per process."""
    tune_malloc()
    return source.classifier()


def _schema(classifier: Predictor) -> pa.Schema:
    return MULTI_LABEL_SCHEMA if classifier.task == "multi-label" else SCHEMA


def predict_rows(classifier: Predictor, top: int, images: Iterable[RawImage]) -> Iterator[pa.RecordBatch]:
    """Yield predictions for images, in their order, up to 512 rows at a time.

    Args:
        classifier: the classifier; its crops are cut from every image.
        top: number of classes per row.
        images: names, each with the encoded image or an error.

    Raises:
        RunError: the network's outputs are not finite.
    """
    chunk = max(1, _CHUNK // len(classifier.crops))  # keeps memory constant whatever the number of crops
    remaining = iter(images)
    while images := list(islice(remaining, chunk)):
        yield _batch(classifier, top, images)


def _batch(classifier: Predictor, top: int, images: list[RawImage]) -> pa.RecordBatch:
    size = (classifier.image_size, classifier.image_size)
    crops = np.zeros((len(images), len(classifier.crops), 3, *size), dtype=np.uint8)
    errors: dict[int, str] = {}
    for index, (_, content) in enumerate(images):
        try:
            if isinstance(content, ImageError):
                raise content
            crops[index] = read_crops(content, size, classifier.crops)
        except ImageError as error:
            errors[index] = str(error)
    outputs = Outputs.over_crops(classifier.outputs, crops)
    if not np.isfinite(outputs.probabilities).all():
        raise RunError(
            "Classifier: its outputs are not finite, because training diverged or the weights are damaged. "
            "Train it again."
        )
    table = [
        {"input": name, "error": errors[index]} if index in errors else _row(classifier, top, name, *output)
        for index, ((name, _), output) in enumerate(zip(images, outputs, strict=True))
    ]
    return pa.RecordBatch.from_pylist(table, schema=_schema(classifier))


def _row(
    classifier: Predictor, top: int, name: str, probabilities: NDArray[np.float32], ood_score: float
) -> dict[str, object]:
    names, thresholds = classifier.class_names, classifier.thresholds
    ranked = top_k(probabilities, max(top, len(thresholds)))
    choices = [{"class": names[index], "probability": float(probabilities[index])} for index in ranked]
    common = {"input": name, "unlike_training": is_unlike_training(ood_score, classifier.ood_threshold)}
    if thresholds:
        labels = [
            choice for index, choice in zip(ranked, choices, strict=True) if choice["probability"] >= thresholds[index]
        ]
        return {**common, "labels": labels, "top": choices[:top]}
    decision = {
        "unsure": float(probabilities.max()) < classifier.abstain_below,
        "prediction_set": prediction_set(probabilities, classifier.set_threshold, names),
    }
    return {**common, **choices[0], **decision, "top": choices}
