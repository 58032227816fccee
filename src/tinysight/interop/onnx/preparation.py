"""ONNX graph that crops and resizes images of any size, bit for bit as Pillow does for `predict`.

ONNX's Resize has no Lanczos filter and does not round between its two passes. Each pass is therefore a product with a
matrix of filter weights, which the graph computes from the size of the images. As in Pillow 13 (src/libImaging/
Resample.c), the weights are multiples of 2**-22, and each pass rounds to whole levels of 0..255. All sums are exact in
double precision, so that the order of the summands does not matter.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx.numpy_helper import from_array
from onnxscript import onnx_types, opset18, script

from tinysight.data.crops import Crops
from tinysight.models.tta import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

op: Any = opset18
types: Any = onnx_types
_FLOAT, _INT, _DOUBLE = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.DOUBLE
_PI = from_array(np.array(math.pi))
_LOBES = from_array(np.array(3.0))  # of the Lanczos filter, on each side
_STEPS = from_array(np.array(2.0**22))  # of a weight


# The functions below are scripts that onnxscript translates to ONNX; they are not run by Python.
@script(default_opset=op)
def _sinc(x):
    angle = x * op.Constant(value=_PI)
    is_zero = angle == 0.0
    return op.Where(is_zero, op.CastLike(1.0, x), op.Sin(angle) / op.Where(is_zero, op.CastLike(1.0, x), angle))


@script(default_opset=op)
def _weights(start, side, length, size):
    """Return the weights (crops, size, length) that resize `side` of `length` pixels, from `start`, to `size`."""
    first = op.Cast(start, to=_FLOAT)  # Pillow keeps the edges of a box in single precision
    last = op.Cast(start + side, to=_FLOAT)
    scale = op.Unsqueeze(op.Cast(last - first, to=_DOUBLE) / op.Cast(size, to=_DOUBLE), [1, 2])
    stretch = op.Max(scale, op.CastLike(1.0, scale))
    outputs = op.Unsqueeze(op.Cast(op.Range(op.CastLike(0, size), size, op.CastLike(1, size)), to=_DOUBLE), [1])
    inputs = op.Cast(op.Range(op.CastLike(0, length), length, op.CastLike(1, length)), to=_DOUBLE)
    center = op.Unsqueeze(op.Cast(first, to=_DOUBLE), [1, 2]) + (outputs + 0.5) * scale
    lobes = op.Constant(value=_LOBES)
    support = stretch * lobes
    is_used = op.And(inputs >= op.Floor(center - support + 0.5), inputs < op.Floor(center + support + 0.5))
    distance = (inputs - center + 0.5) * (1.0 / stretch)
    is_inside = op.And(is_used, op.Abs(distance) < lobes)
    kernel = op.Where(is_inside, _sinc(distance) * _sinc(distance / lobes), op.CastLike(0.0, distance))
    steps = kernel / op.ReduceSum(kernel, [2], keepdims=1) * op.Constant(value=_STEPS)
    return op.Sign(steps) * op.Floor(op.Abs(steps) + 0.5) / op.Constant(value=_STEPS)


@script(default_opset=op)
def _to_levels(x):
    return op.Clip(op.Floor(x + 0.5), op.CastLike(0.0, x), op.CastLike(255.0, x))


def preparation(size: int, crops: Crops, views: list[View]) -> onnx.ModelProto:
    """Return a graph with the input `images` and the outputs `squares` and `weights`.

    - `images`: uint8, (n, height, width, 3), 0..255.
    - `squares`: float32, (n * crops * views, 3, size, size), 0..255: the views of each crop of each image. Crops that
      would have to be enlarged are left out.
    - `weights`: float32, (crops,), sum 1: a crop that is left out counts as the first.

    Args:
        size: height and width of the squares, in pixels.
        crops: the crops to average over.
        views: the views of each crop.
    """
    all_margins, all_positions = (from_array(np.array(values, np.float64)) for values in zip(*crops, strict=True))
    n_crops, first_is_whole = len(crops), from_array(np.array(crops[0].margin == 0))
    places = from_array(_places(size, views))

    @script(default_opset=op)
    def prepare(images):
        height = op.Squeeze(op.Gather(op.Shape(images), [1]))
        width = op.Squeeze(op.Gather(op.Shape(images), [2]))
        planes = op.Transpose(images, perm=[0, 3, 1, 2])
        is_exact = op.And(height == size, width == size)
        if op.And(is_exact, op.Constant(value=first_is_whole)):
            fitted = op.Cast(planes, to=_FLOAT)
            weights = op.Constant(value_floats=[1.0])
        else:
            h = op.Cast(height, to=_DOUBLE)
            w = op.Cast(width, to=_DOUBLE)
            margins = op.Constant(value=all_margins)
            is_first = op.Range(0, n_crops, 1) == 0
            is_larger = op.And(op.Min(h, w) * (1.0 - margins * 2.0) >= size, op.Not(is_exact))
            is_chosen = op.Or(is_first, is_larger)
            chosen = op.Compress(margins, is_chosen)
            positions = op.Compress(op.Constant(value=all_positions), is_chosen)
            n_left_out = n_crops - op.Size(chosen)
            extra = op.Cast(op.Compress(is_first, is_chosen), to=_INT) * n_left_out
            weights = op.Cast(extra + 1, to=_FLOAT) / n_crops
            live_height = h - chosen * h * 2.0
            live_width = w - chosen * w * 2.0
            side = op.Min(live_height, live_width)
            left = chosen * w + (live_width - side) * positions
            top = chosen * h + (live_height - side) * positions
            across = op.Unsqueeze(op.Transpose(_weights(left, side, width, size), perm=[0, 2, 1]), [0, 2])
            down = op.Unsqueeze(_weights(top, side, height, size), [0, 2])
            levels = op.Unsqueeze(op.Cast(planes, to=_DOUBLE), [1])
            if op.And(height > size, height - size > (width - size) * 2):  # Pillow's order is that of the least work
                resized = _to_levels(op.MatMul(_to_levels(op.MatMul(down, levels)), across))
            else:
                resized = _to_levels(op.MatMul(down, _to_levels(op.MatMul(levels, across))))
            fitted = op.Cast(op.Reshape(resized, op.Constant(value_ints=[-1, 3, size, size])), to=_FLOAT)
        pixels = op.Reshape(fitted, op.Constant(value_ints=[-1, 3, size * size]))
        viewed = op.Transpose(op.Gather(pixels, op.Constant(value=places), axis=2), perm=[0, 2, 1, 3])
        squares = op.Reshape(viewed, op.Constant(value_ints=[-1, 3, size, size]))
        return squares, weights

    inputs = [types.UINT8["n", "height", "width", 3]]
    outputs = [types.FLOAT["squares", 3, size, size], types.FLOAT["crops"]]
    model: onnx.ModelProto = prepare.to_model_proto(input_types=inputs, output_types=outputs)
    return model


def _places(size: int, views: list[View]) -> NDArray[np.int64]:
    """Return which pixel of a square each pixel of each view is: (views, size * size)."""
    numbers = torch.arange(size * size, dtype=torch.float64).view(1, 1, size, size)
    return np.stack([view(numbers).flatten().numpy().astype(np.int64) for view in views])
