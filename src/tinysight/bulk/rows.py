"""What a bulk prediction writes: one row a picture, whatever became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tinysight.bulk.pictures import Found
from tinysight.data.dataset import Pixels
from tinysight.data.intake import read_looks
from tinysight.data.looks import Looks
from tinysight.errors import ImageError, RunError
from tinysight.evaluation.answering import Answering
from tinysight.models.classifier import likeliest
from tinysight.models.looks import over_looks

SCHEMA = pa.schema(
    [
        ("input", pa.string()),  # where the picture lies: a file, FILE.tar:MEMBER, or FILE.parquet:ROW
        ("class", pa.string()),  # the likeliest one
        ("probability", pa.float32()),  # of that, 0..1
        ("unsure", pa.bool_()),
        ("top", pa.list_(pa.struct([("class", pa.string()), ("probability", pa.float32())]))),  # likeliest first
        ("error", pa.string()),  # why there is no prediction, in a sentence; then the others are null
    ]
)

_CHUNK = 512  # pictures decoded before they are classified: few enough to hold, enough for whole batches


def rows(classifier: Answering, top: int, pictures: Iterable[Found]) -> Iterator[pa.RecordBatch]:
    """Yield what a classifier says of pictures, in their order, some hundred rows at a time.

    Args:
        classifier: is shown of each picture what it wants to look at.
        top: how many classes to name.
        pictures: names, and bytes or what is wrong with them.

    Raises:
        RunError: the network predicts no numbers.
    """
    chunk = max(1, _CHUNK // len(classifier.looks))  # several looks at each take no more memory than one
    remaining = iter(pictures)
    while found := list(islice(remaining, chunk)):
        yield _batch(classifier, top, found)


def _batch(classifier: Answering, top: int, found: list[Found]) -> pa.RecordBatch:
    size = (classifier.image_size, classifier.image_size)
    looks = np.zeros((len(found), len(classifier.looks), 3, *size), dtype=np.uint8)
    reasons: dict[int, str] = {}
    for place, (_, content) in enumerate(found):
        try:
            looks[place] = _decoded(content, size, classifier.looks)
        except ImageError as error:
            reasons[place] = str(error)
    probabilities = over_looks(classifier.probabilities, looks)
    if not np.isfinite(probabilities).all():
        raise RunError("The classifier predicts no numbers: its training diverged or its weights are forged.")
    said = [
        {"input": name, "error": reasons[place]} if place in reasons else _said(classifier, top, name, row)
        for place, ((name, _), row) in enumerate(zip(found, probabilities, strict=True))
    ]
    return pa.RecordBatch.from_pylist(said, schema=SCHEMA)


def _decoded(content: bytes | ImageError, size: tuple[int, int], looks: Looks) -> Pixels:
    if isinstance(content, ImageError):
        raise content
    return read_looks(content, size, looks)


def _said(classifier: Answering, top: int, name: str, probabilities: NDArray[np.float32]) -> dict[str, object]:
    names = classifier.class_names
    choices = [
        {"class": names[index], "probability": float(probabilities[index])} for index in likeliest(probabilities, top)
    ]
    first = float(probabilities.max())
    return {"input": name, **choices[0], "unsure": first < classifier.unsure_below, "top": choices}
