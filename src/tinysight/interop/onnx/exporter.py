"""Export of a classifier to one ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tinysight._util import optional_deps
from tinysight._util.files import write_bytes
from tinysight.data.labels import Task
from tinysight.interop.exporters import Exporter, ExportOptions, open_program
from tinysight.interop.onnx.runtime import Metadata
from tinysight.interop.portable import rescaling, to_portable
from tinysight.models.classifier import Classifier
from tinysight.models.layers import ChannelAffine
from tinysight.models.network import logits_and_embedding
from tinysight.models.predictor import Predictor
from tinysight.models.registry import family_of

OPSET_VERSION = 18


_START = """import json
import onnxruntime

session = onnxruntime.InferenceSession({path!r})
metadata = session.get_modelmeta().custom_metadata_map
names = json.loads(metadata["class_names"])
outputs = session.run(None, {{"images": np.asarray(image)[None]}})
probabilities, decision, *ood = (output[0] for output in outputs)
if ood and ood[1]:
    print("unlike the training images")
"""

_DECISIONS: dict[Task, str] = {
    "multi-class": """threshold = json.loads(metadata["set_threshold"])
if threshold is not None:
    lowest = min(threshold, probabilities.max())
    print("prediction set (95%):", [name for name, p in zip(names, probabilities) if p >= lowest])
print("unsure:" if decision else "", names[probabilities.argmax()], probabilities.max())
""",
    "multi-label": """for index in np.flatnonzero(decision):  # may be none
    print(names[index], probabilities[index])
""",
}


class OnnxExporter(Exporter):
    """Writes one ONNX file.

    The input `images` is uint8, (n, height, width, 3), of any size. The outputs are `probabilities`, float32,
    (n, classes), and `unsure`, bool, (n,); or `labels`, bool, (n, classes), instead of `unsure` if images may have
    several labels. If the classifier has an OOD detector, there are also `ood_scores`, float32, (n,), and
    `unlike_training`, bool, (n,). The metadata properties are those of `Metadata`, each as JSON.
    """

    name, package, suffix, options = "onnx", "onnxscript", ".onnx", frozenset({"int8", "tta"})

    def check(self, path: Path, tta: bool = False, int8: bool = False) -> None:
        """Check as for every format, and that the quantizer is installed if it is needed."""
        super().check(path, tta, int8)
        if int8:
            optional_deps.require("onnxruntime", extra=self.name)

    def _write(self, classifier: Classifier, path: Path, options: ExportOptions) -> None:
        from tinysight.interop.onnx.assembly import assemble, serialize

        network, spec = _to_onnx(classifier), classifier.spec
        metadata = Metadata.of(spec, options.tta)
        if options.int8 is not None:
            from tinysight.interop.onnx.quantization import quantize

            network, metadata = quantize(network, classifier, metadata, options.int8)
        model = assemble(network, metadata, spec.tta_shift, classifier.detector, spec.temperature)
        write_bytes(path, serialize(model))

    def usage(self, path: Path, classifier: Predictor) -> str:
        """Return a program that classifies `cat.jpg` with onnxruntime."""
        return open_program(classifier) + _START.format(path=str(path)) + _DECISIONS[classifier.task]


EXPORTER = OnnxExporter()


class _OutputNetwork(nn.Module):
    """Maps float images of 0..255 to calibrated logits and embeddings.

    A network that may have no standard layers is used unchanged, others as standard layers.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        spec = classifier.spec
        is_standard = family_of(spec.model).has_standard_layers
        self.first = nn.Identity() if is_standard else ChannelAffine(*rescaling(spec))
        self.network = to_portable(classifier).network if is_standard else classifier.network
        self.temperature = 1.0 if is_standard else spec.temperature  # the standard layers include it
        self.has_embedding = classifier.detector is not None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return (n, classes), and (n, d) if the classifier has a detector, for (n, 3, height, width)."""
        if not self.has_embedding:
            return (self.network(self.first(images)) / self.temperature,)
        logits, features = logits_and_embedding(self.network, self.first(images))
        return logits / self.temperature, features


def _to_onnx(classifier: Classifier) -> Any:
    images = torch.zeros(2, 3, classifier.image_size, classifier.image_size)
    with _quiet_exporter():
        program = torch.onnx.export(
            _OutputNetwork(classifier).eval(),
            (images,),
            input_names=["squares"],
            output_names=["logits", "features"] if classifier.detector else ["logits"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
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
