"""A classifier as one ONNX file: images of 0..255 in, probabilities out, the names of its classes inside."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tinysight import packages
from tinysight.files import atomic_writer
from tinysight.interop.onnx.opening import Facts
from tinysight.interop.plain import plain
from tinysight.models.classifier import Classifier

OPSET = 18


class _Answering(nn.Module):
    """From uint8 images to probabilities."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, classes) for (n, 3, height, width)."""
        found: Tensor = self.network(images.float()).softmax(1)
        return found


def export_onnx(classifier: Classifier, path: Path) -> None:
    """Write a classifier to a file.

    Its input `images` is uint8, (any number, 3, height, width), its output `probabilities` float32. Metadata holds the
    names of the classes, below which probability it is unsure, and remarks, each as JSON.

    Raises:
        InputError: onnx or onnxscript is not installed.
        StorageError: the disk is full or read-only.
    """
    packages.require("onnxscript", extra="onnx")
    import onnx

    model = _as_onnx(classifier)
    facts = Facts(
        class_names=classifier.class_names,
        unsure_below=classifier.unsure_below,
        remarks=classifier.remarks,
        looks=classifier.looks,
    )
    onnx.helper.set_model_props(model, facts.as_metadata())
    content = io.BytesIO()
    onnx.save_model(model, content)
    with atomic_writer(path) as file:
        file.write(content.getvalue())


def _as_onnx(classifier: Classifier) -> Any:
    images = torch.zeros(2, 3, classifier.image_size, classifier.image_size, dtype=torch.uint8)
    with _without_warnings():
        program = torch.onnx.export(
            _Answering(plain(classifier).network).eval(),
            (images,),
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    return program.model_proto  # type: ignore[union-attr]  # None without dynamo


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep to itself what torch's exporter says of its own ways, and of packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
