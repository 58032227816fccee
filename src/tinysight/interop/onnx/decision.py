"""ONNX graph from the logits of the views and crops of an image to its probabilities and "unsure"."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.numpy_helper import from_array
from onnxscript import onnx_types, opset18, script

op: Any = opset18
types: Any = onnx_types
_DOUBLE = onnx.TensorProto.DOUBLE


def decision(num_classes: int, view_weights: list[float], abstain_below: float) -> onnx.ModelProto:
    """Return a graph with the inputs `logits` and `weights`, and the outputs `probabilities` and `unsure`.

    - `logits`: float32, (n * crops * views, classes), calibrated.
    - `weights`: float32, (crops,), sum 1.
    - `probabilities`: float32, (n, classes): the softmax of the mean logits of the views, averaged over the crops.
    - `unsure`: bool, (n,): whether the largest probability is below `abstain_below`.

    Args:
        num_classes: number of classes.
        view_weights: the weight of each view; their sum is 1.
        abstain_below: the threshold, in double precision as in `predict`.
    """
    of_views = from_array(np.array(view_weights, np.float32)[:, None])
    threshold = from_array(np.array(abstain_below, np.float64))
    tail = from_array(np.array([len(view_weights), num_classes], np.int64))

    @script(default_opset=op)
    def decide(logits, weights):
        shape = op.Concat([-1], op.Shape(weights), op.Constant(value=tail), axis=0)
        mean_logits = op.ReduceSum(op.Reshape(logits, shape) * op.Constant(value=of_views), [2], keepdims=0)
        of_crops = op.Softmax(mean_logits, axis=2)
        probabilities = op.ReduceSum(of_crops * op.Unsqueeze(weights, [1]), [1], keepdims=0)
        largest = op.Cast(op.ReduceMax(probabilities, [1], keepdims=0), to=_DOUBLE)
        unsure = largest < op.Constant(value=threshold)
        return probabilities, unsure

    inputs = [types.FLOAT["squares", num_classes], types.FLOAT["crops"]]
    outputs = [types.FLOAT["n", num_classes], types.BOOL["n"]]
    model: onnx.ModelProto = decide.to_model_proto(input_types=inputs, output_types=outputs)
    return model
