"""Static quantization of an exported network to 8-bit integers, and its measured cost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from tinysight._util.onnx_session import open_session
from tinysight.data.dataset import Pixels
from tinysight.data.labels import Labels, measure_of
from tinysight.interop.exporters import Int8Images
from tinysight.interop.onnx.assembly import assemble, serialize
from tinysight.interop.onnx.runtime import Int8Record, Metadata, OnnxClassifier
from tinysight.models.classifier import Classifier, iter_batches
from tinysight.models.conformal import fit_set_threshold
from tinysight.models.ood import fit_ood_threshold
from tinysight.models.predictor import Outputs
from tinysight.models.scores import average_precisions, mean_average_precision
from tinysight.models.selective import choose_threshold
from tinysight.training.thresholds import choose_thresholds


def quantize(
    network: onnx.ModelProto, classifier: Classifier, metadata: Metadata, images: Int8Images
) -> tuple[onnx.ModelProto, Metadata]:
    """Return a network with weights and activations of 8 bits, and metadata with its cost and its thresholds.

    Only the network is quantized; cropping, resizing, the softmax and OOD scores stay exact. The thresholds that the
    classifier has, for a target error, of the prediction sets, of the labels and of the OOD scores, are chosen again on
    the validation images, since quantization changes probabilities and scores.

    Args:
        network: the network in floating point.
        classifier: the classifier.
        metadata: the metadata of its export.
        images: images to measure the ranges of the activations on, and images to measure the cost on.
    """
    small = _quantize_static(network, images.calibration)
    spec, labels = classifier.spec, images.validation.labels

    def outputs(model: onnx.ModelProto) -> Outputs:
        content = serialize(assemble(model, metadata, spec.tta_shift, classifier.detector, spec.temperature))
        return OnnxClassifier(open_session(content), metadata).outputs(images.validation.pixels)

    before, quantized = outputs(network).probabilities, outputs(small)
    after = quantized.probabilities
    record = Int8Record(
        n_calibration=len(images.calibration),
        n_validation=len(labels),
        measure=measure_of(spec.task),
        score=_score(after, labels),
        float_score=_score(before, labels),
    )
    changes: dict[str, Any] = {"int8": record}
    if spec.task == "multi-label":
        changes["thresholds"] = choose_thresholds(after, labels)
    elif spec.target_error is not None:
        correct = after.argmax(1) == labels
        changes["abstain_below"] = choose_threshold(after.max(1), correct, spec.target_error).threshold
    if spec.set_threshold is not None:
        changes["set_threshold"] = fit_set_threshold(after, labels)
    if spec.ood_threshold is not None:
        changes["ood_threshold"] = fit_ood_threshold(torch.from_numpy(quantized.ood_scores))
    return small, metadata.model_copy(update=changes)


def _score(probabilities: NDArray[np.float32], labels: Labels) -> float | None:
    """Return the accuracy, or the mean average precision if images may have several labels."""
    if labels.ndim == 2:
        return mean_average_precision(average_precisions(labels, probabilities))
    return float((probabilities.argmax(1) == labels).mean())


def _quantize_static(network: onnx.ModelProto, pixels: Pixels) -> onnx.ModelProto:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    class Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self) -> None:
            self.batches: Iterator[Pixels] = iter_batches(pixels)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {network.graph.input[0].name: batch.astype(np.float32)}

    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        copy = onnx.ModelProto()  # onnxruntime would change a network in memory
        copy.CopyFrom(network)
        add_pre_process_metadata(copy)  # the export has done it: else onnxruntime logs warnings on the root logger
        source.write_bytes(serialize(copy))
        # The scales of layer normalization have no channels to quantize by, and gain nothing.
        exact = [node.name for node in network.graph.node if node.op_type == "LayerNormalization"]
        quantize_static(source, path, Batches(), quant_format=QuantFormat.QDQ, per_channel=True, nodes_to_exclude=exact)
        return onnx.load(path)
