"""ONNX graph from the embeddings and logits of an image to its OOD score and "unlike the training images"."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.numpy_helper import from_array
from onnxscript import onnx_types, opset18, script

from tinysight.models.ood import MAX_LOGIT, OodDetector

op: Any = opset18
types: Any = onnx_types
_DOUBLE = onnx.TensorProto.DOUBLE
_TINY = from_array(np.array(1e-12, np.float32))  # least length of an embedding


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
    bank = from_array(detector.bank.numpy())
    scale, limit = from_array(np.array(temperature, np.float32)), from_array(np.array(threshold, np.float64))
    largest = from_array(np.array(MAX_LOGIT, np.float32))
    tail = from_array(np.array([n_views], np.int64))

    @script(default_opset=op)
    def detect(features, logits, weights):
        lengths = op.Max(op.ReduceL2(features, [1], keepdims=0), op.Constant(value=_TINY))
        nearest = op.ReduceMax(op.MatMul(features, op.Constant(value=bank)), [1], keepdims=0)
        raw = logits * op.Constant(value=scale)
        centered = op.Min(raw - op.ReduceMean(raw, [1], keepdims=1), op.Constant(value=largest))
        energy = op.Log(op.ReduceSum(op.Exp(centered), [1], keepdims=0))
        of_squares = op.Neg(nearest * energy / lengths)
        shape = op.Concat([-1], op.Shape(weights), op.Constant(value=tail), axis=0)
        of_crops = op.Gather(op.Reshape(of_squares, shape), 0, axis=2)
        ood_scores = op.ReduceSum(of_crops * weights, [1], keepdims=0)
        unlike_training = op.Cast(ood_scores, to=_DOUBLE) > op.Constant(value=limit)
        return ood_scores, unlike_training

    width = detector.bank.shape[0]
    inputs = [types.FLOAT["squares", width], types.FLOAT["squares", num_classes], types.FLOAT["crops"]]
    outputs = [types.FLOAT["n"], types.BOOL["n"]]
    model: onnx.ModelProto = detect.to_model_proto(input_types=inputs, output_types=outputs)
    return model
