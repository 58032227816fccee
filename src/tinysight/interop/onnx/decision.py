"""ONNX graph from the logits of the views and crops of an image to its probabilities and the decision."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.numpy_helper import from_array
from onnxscript import onnx_types, opset18, script

from tinysight.models.classifier import PredictorInfo

op: Any = opset18
types: Any = onnx_types
_DOUBLE = onnx.TensorProto.DOUBLE


# The functions below are scripts that onnxscript translates to ONNX; they are not run by Python.
@script(default_opset=op)
def _mean_of_views(logits, n_crops, n_views_and_classes, view_weights):
    """Return the mean logits (n, crops, classes) of the views of each crop."""
    shape = op.Concat([-1], n_crops, n_views_and_classes, axis=0)
    return op.ReduceSum(op.Reshape(logits, shape) * view_weights, [2], keepdims=0)


@script(default_opset=op)
def _mean_of_crops(probabilities, weights):
    return op.ReduceSum(probabilities * op.Unsqueeze(weights, [1]), [1], keepdims=0)


def decision(classifier: PredictorInfo, view_weights: list[float]) -> onnx.ModelProto:
    """Return a graph with the inputs `logits` and `weights`, and the outputs `probabilities` and `unsure` or `labels`.

    - `logits`: float32, (n * crops * views, classes), calibrated.
    - `weights`: float32, (crops,), sum 1.
    - `probabilities`: float32, (n, classes): the softmax of the mean logits of the views, averaged over the crops. If
      images may have several labels, the sigmoid instead.
    - `unsure`: bool, (n,): whether the largest probability is below the threshold.
    - `labels`: bool, (n, classes), instead of `unsure` if images may have several labels: whether each probability is
      at least its threshold.

    Thresholds are compared in double precision, as in `predict`.

    Args:
        classifier: its classes, task and thresholds.
        view_weights: the weight of each view; their sum is 1.
    """
    classes = len(classifier.class_names)
    of_views = from_array(np.array(view_weights, np.float32)[:, None])
    tail = from_array(np.array([len(view_weights), classes], np.int64))
    threshold = from_array(np.array(classifier.abstain_below, np.float64))
    thresholds = from_array(np.array(classifier.thresholds, np.float64))

    @script(default_opset=op)
    def decide_class(logits, weights):
        of_crops = op.Softmax(
            _mean_of_views(logits, op.Shape(weights), op.Constant(value=tail), op.Constant(value=of_views)), axis=2
        )
        probabilities = _mean_of_crops(of_crops, weights)
        largest = op.Cast(op.ReduceMax(probabilities, [1], keepdims=0), to=_DOUBLE)
        unsure = largest < op.Constant(value=threshold)
        return probabilities, unsure

    @script(default_opset=op)
    def decide_labels(logits, weights):
        of_crops = op.Sigmoid(
            _mean_of_views(logits, op.Shape(weights), op.Constant(value=tail), op.Constant(value=of_views))
        )
        probabilities = _mean_of_crops(of_crops, weights)
        labels = op.Cast(probabilities, to=_DOUBLE) >= op.Constant(value=thresholds)
        return probabilities, labels

    is_multi_label = classifier.task == "multi-label"
    inputs = [types.FLOAT["squares", classes], types.FLOAT["crops"]]
    outputs = [types.FLOAT["n", classes], types.BOOL["n", classes] if is_multi_label else types.BOOL["n"]]
    decide = decide_labels if is_multi_label else decide_class
    model: onnx.ModelProto = decide.to_model_proto(input_types=inputs, output_types=outputs)
    return model
