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

from tinysight._util.files import write_bytes
from tinysight.interop.exporters import Exporter, image_program
from tinysight.interop.onnx.runtime import Metadata
from tinysight.interop.portable import rescaling, to_portable
from tinysight.models.classifier import Classifier
from tinysight.models.layers import ChannelAffine
from tinysight.models.predictor import Predictor

OPSET_VERSION = 18


_EXAMPLE = """import json
import onnxruntime

session = onnxruntime.InferenceSession({path!r})
images = images.transpose(0, 3, 1, 2)  # uint8, (n, 3, {size}, {size}), 0..255
probabilities = session.run(None, {{"images": images}})[0].mean(0)
names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
print(names[probabilities.argmax()], probabilities.max())
"""


class OnnxExporter(Exporter):
    """Writes one ONNX file.

    The input `images` is uint8, (n, 3, height, width); the output `probabilities` is float32, (n, classes). The
    metadata properties are those of `Metadata`, each as JSON.
    """

    name, package, suffix = "onnx", "onnxscript", ".onnx"

    def _write(self, classifier: Classifier, path: Path) -> None:
        import onnx

        model = _to_onnx(classifier)
        onnx.helper.set_model_props(model, Metadata.of(classifier.spec).to_properties())
        content = io.BytesIO()
        onnx.save_model(model, content)
        write_bytes(path, content.getvalue())

    def usage(self, path: Path, classifier: Predictor) -> str:
        """Return a program that classifies `cat.jpg` with onnxruntime."""
        return image_program(classifier) + _EXAMPLE.format(path=str(path), size=classifier.image_size)


EXPORTER = OnnxExporter()


class _ProbabilityNetwork(nn.Module):
    """Maps uint8 images to probabilities."""

    def __init__(self, logits: nn.Module, temperature: float) -> None:
        super().__init__()
        self.logits, self.temperature = logits, temperature

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, classes) for (n, 3, height, width)."""
        probabilities: Tensor = (self.logits(images.float()) / self.temperature).softmax(1)
        return probabilities


def _probability_network(classifier: Classifier) -> nn.Module:
    """Return a user's own network unchanged, since it may have no standard layers; others as standard layers."""
    spec = classifier.spec
    if spec.model.architecture != "custom":
        return _ProbabilityNetwork(to_portable(classifier).network, temperature=1)
    return _ProbabilityNetwork(nn.Sequential(ChannelAffine(*rescaling(spec)), classifier.network), spec.temperature)


def _to_onnx(classifier: Classifier) -> Any:
    images = torch.zeros(2, 3, classifier.image_size, classifier.image_size, dtype=torch.uint8)
    with _quiet_exporter():
        program = torch.onnx.export(
            _probability_network(classifier).eval(),
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
