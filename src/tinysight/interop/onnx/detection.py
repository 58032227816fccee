"""ONNX graph from the embeddings and logits of an image to its OOD score and "unlike the training images"."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.numpy_helper import from_array
from onnxscript import onnx_types, opset18, script

from tinysight.models.ood import N_NEIGHBORS, OodDetector

op: Any = opset18
types: Any = onnx_types
_DOUBLE = onnx.TensorProto.DOUBLE
_TINY = from_array(np.array(1e-12, np.float32))  # as in torch.nn.functional.normalize


def detection(
    detector: OodDetector, num_classes: int, temperature: float, n_views: int, threshold: float
) -> onnx.ModelProto:
    """Return a graph with the inputs `features`, `logits` and `weights`, and the outputs of `OOD_OUTPUTS`.

    - `features`: float32, (n * crops * views, d), the embeddings.
    - `logits`: float32, (n * crops * views, classes), divided by the temperature.
    - `weights`: float32, (crops,), sum 1.
    - `ood_scores`: float32, (n,): the scores of the first view, averaged over the crops.
    - `unlike_training`: bool, (n,): whether the score is above `threshold`.

    Args:
        detector: scores the images.
        num_classes: number of classes.
        temperature: multiplies the logits.
        n_views: number of views; the first is the image itself.
        threshold: the score above which an image is unlike the training images.
    """
    bank = from_array(np.ascontiguousarray(detector.bank.numpy().T))
    n_neighbors = from_array(np.array([min(N_NEIGHBORS, len(detector.bank))], np.int64))
    scale, limit = from_array(np.array(temperature, np.float32)), from_array(np.array(threshold, np.float64))
    tail = from_array(np.array([n_views], np.int64))

    @script(default_opset=op)
    def detect(features, logits, weights):
        length = op.Max(op.ReduceL2(features, [1], keepdims=1), op.Constant(value=_TINY))
        similarities = op.MatMul(features / length, op.Constant(value=bank))
        nearest, _ = op.TopK(similarities, op.Constant(value=n_neighbors), axis=1)
        raw = logits * op.Constant(value=scale)
        largest = op.ReduceMax(raw, [1], keepdims=1)
        sums = op.ReduceSum(op.Exp(raw - largest), [1], keepdims=0)
        energy = op.Log(sums) + op.Squeeze(largest, [1]) - op.ReduceMean(raw, [1], keepdims=0)
        of_squares = op.Neg(op.ReduceMean(nearest, [1], keepdims=0) * energy)
        shape = op.Concat([-1], op.Shape(weights), op.Constant(value=tail), axis=0)
        of_crops = op.Gather(op.Reshape(of_squares, shape), 0, axis=2)
        ood_scores = op.ReduceSum(of_crops * weights, [1], keepdims=0)
        unlike_training = op.Cast(ood_scores, to=_DOUBLE) > op.Constant(value=limit)
        return ood_scores, unlike_training

    width = detector.bank.shape[1]
    inputs = [types.FLOAT["squares", width], types.FLOAT["squares", num_classes], types.FLOAT["crops"]]
    outputs = [types.FLOAT["n"], types.BOOL["n"]]
    model: onnx.ModelProto = detect.to_model_proto(input_types=inputs, output_types=outputs)
    return model
