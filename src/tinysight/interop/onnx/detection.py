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
_MAX_LOGIT = from_array(np.array(MAX_LOGIT, np.float32))


# The functions below are scripts that onnxscript translates to ONNX; they are not run by Python.
@script(default_opset=op)
def _similarity(features, bank):
    """Return the similarity of each image to the nearest stored image, (n,)."""
    lengths = op.Max(op.ReduceL2(features, [1], keepdims=0), op.Constant(value=_TINY))
    return op.ReduceMax(op.MatMul(features, bank), [1], keepdims=0) / lengths


@script(default_opset=op)
def _energy(logits):
    centered = op.Min(logits - op.ReduceMean(logits, [1], keepdims=1), op.Constant(value=_MAX_LOGIT))
    return op.Log(op.ReduceSum(op.Exp(centered), [1], keepdims=0))


@script(default_opset=op)
def _mean_of_crops(scores, weights, n_views):
    """Return the mean over the crops of the scores of the first view."""
    shape = op.Concat([-1], op.Shape(weights), n_views, axis=0)
    return op.ReduceSum(op.Gather(op.Reshape(scores, shape), 0, axis=2) * weights, [1], keepdims=0)


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
        threshold: the score above which an image is unlike the training images, in double precision as in `predict`.
    """
    bank, limit = from_array(detector.bank.numpy()), from_array(np.array(threshold, np.float64))
    scale, views = from_array(np.array(temperature, np.float32)), from_array(np.array([n_views], np.int64))

    @script(default_opset=op)
    def detect_by_class(features, logits, weights):
        guide = _energy(logits * op.Constant(value=scale))
        of_squares = op.Neg(_similarity(features, op.Constant(value=bank)) * guide)
        ood_scores = _mean_of_crops(of_squares, weights, op.Constant(value=views))
        unlike_training = op.Cast(ood_scores, to=_DOUBLE) > op.Constant(value=limit)
        return ood_scores, unlike_training

    @script(default_opset=op)
    def detect_by_labels(features, logits, weights):
        of_squares = op.Neg(_similarity(features, op.Constant(value=bank)))
        ood_scores = _mean_of_crops(of_squares, weights, op.Constant(value=views))
        unlike_training = op.Cast(ood_scores, to=_DOUBLE) > op.Constant(value=limit)
        return ood_scores, unlike_training

    detect = detect_by_labels if detector.task == "multi-label" else detect_by_class
    width = detector.bank.shape[0]
    inputs = [types.FLOAT["squares", width], types.FLOAT["squares", num_classes], types.FLOAT["crops"]]
    outputs = [types.FLOAT["n"], types.BOOL["n"]]
    model: onnx.ModelProto = detect.to_model_proto(input_types=inputs, output_types=outputs)
    return model
