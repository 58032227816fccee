"""Rows of batch prediction: one per image, with a prediction or an error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tinysight._util.errors import ImageError, RunError
from tinysight.bulk.readers import RawImage
from tinysight.data.image_io import read_crops
from tinysight.evaluation.protocols import Predictor
from tinysight.models.classifier import top_k
from tinysight.models.tta import average_over_crops

SCHEMA = pa.schema(
    [
        ("input", pa.string()),  # location of the image: a file, FILE.tar:MEMBER, or FILE.parquet:ROW
        ("class", pa.string()),  # the most probable one
        ("probability", pa.float32()),  # of that class, 0..1
        ("unsure", pa.bool_()),
        ("top", pa.list_(pa.struct([("class", pa.string()), ("probability", pa.float32())]))),  # in descending order
        ("error", pa.string()),  # why there is no prediction, as a sentence; all other columns but input are null
    ]
)

_CHUNK = 512  # images decoded before they are classified: fits into memory and fills whole batches


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
    probabilities = average_over_crops(classifier.probabilities, crops)
    if not np.isfinite(probabilities).all():
        raise RunError(
            "Classifier: its outputs are not finite, because training diverged or the weights are damaged. "
            "Train it again."
        )
    table = [
        {"input": name, "error": errors[index]} if index in errors else _row(classifier, top, name, row)
        for index, ((name, _), row) in enumerate(zip(images, probabilities, strict=True))
    ]
    return pa.RecordBatch.from_pylist(table, schema=SCHEMA)


def _row(classifier: Predictor, top: int, name: str, probabilities: NDArray[np.float32]) -> dict[str, object]:
    names = classifier.class_names
    choices = [
        {"class": names[index], "probability": float(probabilities[index])} for index in top_k(probabilities, top)
    ]
    highest = float(probabilities.max())
    return {"input": name, **choices[0], "unsure": highest < classifier.abstain_below, "top": choices}
