"""Convert Keras layer configurations to layer specifications.

The readers accept the argument names of Keras 1 and of later versions.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinysight._util.errors import did_you_mean
from tinysight.interop.keras.graph import Spec
from tinysight.recipes import layers

LayerConfig = dict[str, Any]


class UnsupportedLayerError(Exception):
    """A layer or a setting that the importer does not support."""


def activation_name(activation: Any) -> str:
    """Return the name of an activation; Keras 3 may write it as an object."""
    if isinstance(activation, dict):
        config = activation.get("config")
        activation = config if isinstance(config, str) else activation.get("class_name")
    return "linear" if activation is None else str(activation)


def read_activation(value: Any) -> list[Spec]:
    """Return the layer for an activation; `linear` gives none."""
    if isinstance(value, dict) and isinstance(value.get("config"), dict) and value.get("class_name") in _AS_LAYERS:
        return READERS[value["class_name"]](value["config"])
    match activation_name(value):
        case "linear":
            return []
        case "swish":
            return [layers.Activation(function="silu")]
        case "leaky_relu":
            return [layers.Activation(function="leaky_relu", slope=0.2)]
        case name if name in _ACTIVATIONS:
            return [layers.Activation(function=name)]
        case name:
            raise UnsupportedLayerError(
                f"the activation {reprlib.repr(name)} is not supported.{did_you_mean(name, _ACTIVATIONS)}"
            )


_AS_LAYERS = ("ReLU", "LeakyReLU", "ELU")
_ACTIVATIONS = ("relu", "relu6", "elu", "selu", "gelu", "silu", "sigmoid", "tanh")


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _windows(config: LayerConfig) -> LayerConfig:
    """Return kernel, stride, dilation and padding from the names of Keras 1 or later versions."""
    kernel = [config["nb_row"], config["nb_col"]] if "nb_row" in config else config["kernel_size"]
    return {
        "kernel": _pair(kernel),
        "stride": _pair(config.get("strides") or config.get("subsample") or 1),
        "dilation": _pair(config.get("dilation_rate") or 1),
        "padding": _padding(config),
    }


def _padding(config: LayerConfig) -> Any:
    return config.get("padding") or config.get("border_mode") or "valid"


def _bias(config: LayerConfig) -> bool:
    return bool(config.get("use_bias", config.get("bias", True)))


def _convolution(config: LayerConfig) -> list[Spec]:
    channels = config["filters"] if "filters" in config else config["nb_filter"]
    groups = config.get("groups", 1)
    return [layers.Conv2d(channels=channels, groups=groups, bias=_bias(config), **_windows(config))]


def _depthwise(config: LayerConfig) -> list[Spec]:
    return [
        layers.DepthwiseConv2d(multiplier=config.get("depth_multiplier", 1), bias=_bias(config), **_windows(config))
    ]


def _separable(config: LayerConfig) -> list[Spec]:
    return [
        layers.DepthwiseConv2d(multiplier=config.get("depth_multiplier", 1), bias=False, **_windows(config)),
        layers.Conv2d(channels=config["filters"], kernel=(1, 1), bias=_bias(config)),
    ]


def _pooling(kind: Any) -> Callable[[LayerConfig], list[Spec]]:
    def read(config: LayerConfig) -> list[Spec]:
        window = _pair(config.get("pool_size", 2))
        stride = _pair(config.get("strides") or window)
        return [layers.Pool2d(kind=kind, window=window, stride=stride, padding=_padding(config))]

    return read


def _global_pooling(kind: Any) -> Callable[[LayerConfig], list[Spec]]:
    def read(config: LayerConfig) -> list[Spec]:
        kept = [layers.Reshape(shape=(1, 1, -1))] if config.get("keepdims") else []
        return [layers.GlobalPool2d(kind=kind), *kept]

    return read


def _batch_norm(config: LayerConfig) -> list[Spec]:
    axis = config.get("axis", -1)
    if axis not in (-1, 3, [-1], [3], 1, [1]) or config.get("mode", 0) != 0:
        raise UnsupportedLayerError(
            f"batch normalization over axis {axis} is not supported. Only the last axis, channels, is."
        )
    return [
        layers.BatchNorm(
            epsilon=config.get("epsilon", 0.001), scale=config.get("scale", True), shift=config.get("center", True)
        )
    ]


def _dropout(config: LayerConfig) -> list[Spec]:
    if config.get("noise_shape"):  # drops channels or images, like SpatialDropout2D
        return []
    return [layers.Dropout(rate=config["rate"] if "rate" in config else config["p"])]


def _dense(config: LayerConfig) -> list[Spec]:
    outputs = config["units"] if "units" in config else config["output_dim"]
    return [layers.Dense(outputs=outputs, bias=_bias(config))]


def _relu(config: LayerConfig) -> list[Spec]:
    slope, max_value = config.get("negative_slope") or 0.0, config.get("max_value")
    if config.get("threshold") or (slope and max_value is not None):
        raise UnsupportedLayerError(
            "a ReLU with a threshold, or with both negative_slope and max_value, is not supported."
        )
    if slope:
        return [layers.Activation(function="leaky_relu", slope=slope)]
    return [layers.Activation(function="relu", max_value=max_value)]


def _leaky_relu(config: LayerConfig) -> list[Spec]:
    slope = config["negative_slope"] if "negative_slope" in config else config.get("alpha", 0.3)
    return [layers.Activation(function="leaky_relu", slope=slope)]


def _zero_padding(config: LayerConfig) -> list[Spec]:
    (top, bottom), (left, right) = _edges(config.get("padding", 1))
    return [layers.ZeroPadding(top=top, bottom=bottom, left=left, right=right)]


def _rescaling(config: LayerConfig) -> list[Spec]:
    scale, offset = (
        tuple(value) if isinstance(value, list) else value for value in (config["scale"], config["offset"])
    )
    return [layers.Rescaling(scale=scale, offset=offset)]


def _normalization(config: LayerConfig) -> list[Spec]:
    """Read (x - mean) / std; with a mean and variance from training, the identity, until the weights are read."""
    axis = config.get("axis", -1)
    if config.get("invert") or axis not in (-1, 3, [-1], [3], (-1,), (3,), None, []):
        raise UnsupportedLayerError(
            f"normalization over axis {axis}, or inverted, is not supported. Only the last axis, channels, is."
        )
    if config.get("mean") is None:
        return [layers.Rescaling(scale=1.0)]
    return [normalization_layer(config["mean"], config["variance"])]


def normalization_layer(mean: Any, variance: Any) -> layers.Rescaling:
    """Return the layer that computes (x - mean) / sqrt(variance), for one value or one per channel."""
    means, variances = (np.asarray(value, dtype=np.float64).reshape(-1) for value in (mean, variance))
    scales = 1 / np.maximum(np.sqrt(variances), _SMALLEST_STD)
    offsets = -means * scales
    count = max(len(scales), len(offsets))
    if count not in (1, 3):
        raise UnsupportedLayerError(f"normalization of {count} channels is not supported. Only that of colors is.")
    values = [tuple(np.broadcast_to(value, 3).tolist()) for value in (scales, offsets)]
    return layers.Rescaling(scale=values[0], offset=values[1])


_SMALLEST_STD = 1e-7  # the epsilon of keras.config


def _resizing(config: LayerConfig) -> list[Spec]:
    if config.get("crop_to_aspect_ratio") or config.get("pad_to_aspect_ratio"):
        raise UnsupportedLayerError("resizing that crops or pads to the aspect ratio is not supported.")
    return [_resize((config["height"], config["width"]), config.get("interpolation", "bilinear"))]


def _resize(size: tuple[int, int], interpolation: str) -> Spec:
    if interpolation not in ("bilinear", "nearest"):
        raise UnsupportedLayerError(
            f"the interpolation {reprlib.repr(interpolation)} is not supported. Only bilinear and nearest are."
        )
    return layers.Resize(size=size, interpolation=interpolation)


def _center_crop(config: LayerConfig) -> list[Spec]:
    (height, width), (new_height, new_width) = config["input_shape"], (config["height"], config["width"])
    top, left = (height - new_height) // 2, (width - new_width) // 2
    if min(top, left) < 0:
        raise UnsupportedLayerError("a center crop larger than its input is not supported.")
    bottom, right = height - new_height - top, width - new_width - left
    return [layers.Crop(top=top, bottom=bottom, left=left, right=right)]


def _cropping(config: LayerConfig) -> list[Spec]:
    (top, bottom), (left, right) = _edges(config.get("cropping", 0))
    return [layers.Crop(top=top, bottom=bottom, left=left, right=right)]


def _edges(value: Any) -> list[tuple[int, int]]:
    """Return ((top, bottom), (left, right)) from one number, one for each axis or one for each edge."""
    return [(value, value)] * 2 if isinstance(value, int) else [_pair(edge) for edge in value]


def snake_case(kind: str) -> str:
    """Return a class name as Keras 3 writes it in weight files: SeparableConv2D becomes separable_conv2d."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()


def _softmax(config: LayerConfig) -> list[Spec]:
    if config.get("axis", -1) not in (-1, 1):
        raise UnsupportedLayerError("a softmax is supported over the last axis only.")
    return []


def _reshape(config: LayerConfig) -> list[Spec]:
    match config["target_shape"]:
        case [_]:
            return [layers.Flatten()]
        case [height, width, channels]:
            return [layers.Reshape(shape=(height, width, channels))]
        case shape:
            raise UnsupportedLayerError(f"a reshape to {reprlib.repr(shape)} is not supported. Use one or three axes.")


def _merging(kind: Any) -> Callable[[LayerConfig], list[Spec]]:
    return lambda config: [layers.Merge(kind=kind)]


def _concatenation(config: LayerConfig) -> list[Spec]:
    axis = config.get("axis", -1)
    if axis not in ((-1, 1) if config["is_flat"] else (-1, 3)):
        raise UnsupportedLayerError(
            f"concatenation over axis {axis} is not supported. Only the last axis, channels, is."
        )
    return [layers.Merge(kind="concatenate")]


def read_operation(kind: str, config: LayerConfig, arguments: Sequence[Any], are_flat: Sequence[bool]) -> list[Spec]:
    """Return the layers for a function of `keras.ops` or TensorFlow, such as `x + y` or `x / 255`.

    Args:
        kind: class of the operation in Keras 3, or name of the function in Keras 2.
        config: its configuration.
        arguments: its arguments, those of lists included, with None for tensors.
        are_flat: for each tensor, whether it has no height and width.

    Raises:
        UnsupportedLayerError: it is another operation, or one of other arguments.
    """
    match _TENSORFLOW.get(kind, kind), arguments:
        case "Add", [None, float() | int() as value] | [float() | int() as value, None]:
            return [layers.Rescaling(scale=1.0, offset=value)]
        case "Subtract", [None, float() | int() as value]:
            return [layers.Rescaling(scale=1.0, offset=-value)]
        case "Subtract", [float() | int() as value, None]:
            return [layers.Rescaling(scale=-1.0, offset=value)]
        case "Multiply", [None, float() | int() as value] | [float() | int() as value, None]:
            return [layers.Rescaling(scale=value)]
        case "TrueDivide" | "Divide", [None, float() | int() as value] if value:
            return [layers.Rescaling(scale=1 / value)]
        case "Add" | "Subtract" | "Multiply" | "Maximum" | "Minimum", [None, None] if len(set(are_flat)) == 1:
            return MERGES[_TENSORFLOW.get(kind, kind)](config)
        case "Concatenate", [*tensors] if not any(tensors):
            return MERGES[kind](config | {"is_flat": all(are_flat)})
    raise UnsupportedLayerError(
        f"the function {reprlib.repr(kind)}, named {reprlib.repr(config.get('name'))}, is not supported with these "
        "arguments. Use a Keras layer instead, and save the model again."
    )


_TENSORFLOW = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.truediv": "TrueDivide",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
}


def _no_layers(config: LayerConfig) -> list[Spec]:
    return []


MERGES: dict[str, Callable[[LayerConfig], list[Spec]]] = {
    "Add": _merging("add"),
    "Subtract": _merging("subtract"),
    "Multiply": _merging("multiply"),
    "Average": _merging("average"),
    "Maximum": _merging("maximum"),
    "Minimum": _merging("minimum"),
    "Concatenate": _concatenation,
}
"""Readers of the layers that take several tensors."""

READERS: dict[str, Callable[[LayerConfig], list[Spec]]] = {
    **MERGES,
    "Activation": _no_layers,  # `read_activation` handles the activation of every layer
    "Conv2D": _convolution,
    "Convolution2D": _convolution,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "MaxPooling2D": _pooling("max_pooling"),
    "AveragePooling2D": _pooling("average_pooling"),
    "GlobalMaxPooling2D": _global_pooling("global_max_pooling"),
    "GlobalAveragePooling2D": _global_pooling("global_average_pooling"),
    "BatchNormalization": _batch_norm,
    "Dropout": _dropout,
    "Flatten": lambda config: [layers.Flatten()],
    "Dense": _dense,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": lambda config: [layers.Activation(function="elu", slope=config.get("alpha", 1.0))],
    "Softmax": _softmax,
    "ZeroPadding2D": _zero_padding,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "Resizing": _resizing,
    "CenterCrop": _center_crop,
    "Cropping2D": _cropping,
    "Reshape": _reshape,
}

INACTIVE = frozenset(
    {
        "InputLayer",
        "ActivityRegularization",
        "AlphaDropout",
        "GaussianDropout",
        "GaussianNoise",
        "SpatialDropout2D",
        "Identity",
        # augmentation that keeps the size
        "RandomBrightness",
        "RandomColorDegeneration",
        "RandomColorJitter",
        "RandomContrast",
        "RandomElasticTransform",
        "RandomErasing",
        "RandomFlip",
        "RandomGaussianBlur",
        "RandomGrayscale",
        "RandomHue",
        "RandomInvert",
        "RandomPerspective",
        "RandomPosterization",
        "RandomRotation",
        "RandomSaturation",
        "RandomSharpness",
        "RandomShear",
        "RandomTranslation",
        "RandomZoom",
        "AugMix",
        "CutMix",
        "MixUp",
        "RandAugment",
    }
)
"""Classes of layers that do nothing at prediction."""
