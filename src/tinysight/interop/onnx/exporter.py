"""Export of a classifier to one ONNX file."""

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

from tinysight._util import optional_deps
from tinysight._util.files import atomic_writer
from tinysight.interop.onnx.runtime import Metadata
from tinysight.interop.portable import to_portable
from tinysight.models.classifier import Classifier

OPSET_VERSION = 18


class _ProbabilityNetwork(nn.Module):
    """Maps uint8 images to probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, classes) for (n, 3, height, width)."""
        probabilities: Tensor = self.network(images.float()).softmax(1)
        return probabilities


def export_onnx(classifier: Classifier, path: Path) -> None:
    """Write a classifier to an ONNX file.

    The input `images` is uint8, (n, 3, height, width); the output `probabilities` is float32, (n, classes). The
    metadata properties are those of `Metadata`, each as JSON.

    Raises:
        InputError: onnx or onnxscript is not installed.
        StorageError: the disk is full or read-only.
    """
    optional_deps.require("onnxscript", extra="onnx")
    import onnx

    model = _to_onnx(classifier)
    onnx.helper.set_model_props(model, Metadata.of(classifier.spec).to_properties())
    content = io.BytesIO()
    onnx.save_model(model, content)
    with atomic_writer(path) as file:
        file.write(content.getvalue())


def _to_onnx(classifier: Classifier) -> Any:
    images = torch.zeros(2, 3, classifier.image_size, classifier.image_size, dtype=torch.uint8)
    with _quiet_exporter():
        program = torch.onnx.export(
            _ProbabilityNetwork(to_portable(classifier).network).eval(),
            (images,),
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
            opset_version=OPSET_VERSION,
            dynamo=True,
            verbose=False,
        )
    return program.model_proto  # type: ignore[union-attr]  # None without dynamo


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Suppress the warnings of torch's exporter about its internals and about optional packages."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
