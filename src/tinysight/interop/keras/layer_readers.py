"""Converts Keras layer configurations to layer specifications.

The readers accept the argument names of Keras 1 and of later versions.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import Any

from tinysight._util.errors import did_you_mean
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer

LayerConfig = dict[str, Any]


class UnsupportedLayerError(Exception):
    """A layer or a setting that the importer does not support."""


def activation_name(activation: Any) -> str:
    """Return the name of an activation; Keras 3 may write it as an object."""
    if isinstance(activation, dict):
        activation = activation.get("config") or activation.get("class_name")
    return "linear" if activation is None else str(activation)


def read_activation(value: Any, is_last: bool = False) -> list[Layer]:
    """Return the layer for an activation; `linear` and a softmax in the last layer give none."""
    match activation_name(value):
        case "linear":
            return []
        case "softmax" if is_last:
            return []  # the classifier applies it
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


def _convolution(config: LayerConfig) -> list[Layer]:
    channels = config["filters"] if "filters" in config else config["nb_filter"]
    groups = config.get("groups", 1)
    return [layers.Conv2d(channels=channels, groups=groups, bias=_bias(config), **_windows(config))]


def _depthwise(config: LayerConfig) -> list[Layer]:
    return [
        layers.DepthwiseConv2d(multiplier=config.get("depth_multiplier", 1), bias=_bias(config), **_windows(config))
    ]


def _separable(config: LayerConfig) -> list[Layer]:
    return [
        layers.DepthwiseConv2d(multiplier=config.get("depth_multiplier", 1), bias=False, **_windows(config)),
        layers.Conv2d(channels=config["filters"], kernel=(1, 1), bias=_bias(config)),
    ]


def _pooling(kind: Any) -> Callable[[LayerConfig], list[Layer]]:
    def read(config: LayerConfig) -> list[Layer]:
        window = _pair(config.get("pool_size", 2))
        stride = _pair(config.get("strides") or window)
        return [layers.Pool2d(kind=kind, window=window, stride=stride, padding=_padding(config))]

    return read


def _global_pooling(kind: Any) -> Callable[[LayerConfig], list[Layer]]:
    def read(config: LayerConfig) -> list[Layer]:
        if config.get("keepdims"):
            raise UnsupportedLayerError("global pooling with keepdims is not supported.")
        return [layers.GlobalPool2d(kind=kind)]

    return read


def _batch_norm(config: LayerConfig) -> list[Layer]:
    axis = config.get("axis", -1)
    if axis not in (-1, 3, [-1], [3], 1) or config.get("mode", 0) != 0:
        raise UnsupportedLayerError(
            f"batch normalization over axis {axis} is not supported. Only the last axis, channels, is."
        )
    return [
        layers.BatchNorm(
            epsilon=config.get("epsilon", 0.001), scale=config.get("scale", True), shift=config.get("center", True)
        )
    ]


def _dropout(config: LayerConfig) -> list[Layer]:
    return [layers.Dropout(rate=config["rate"] if "rate" in config else config["p"])]


def _dense(config: LayerConfig) -> list[Layer]:
    outputs = config["units"] if "units" in config else config["output_dim"]
    return [layers.Dense(outputs=outputs, bias=_bias(config))]


def _relu(config: LayerConfig) -> list[Layer]:
    slope, max_value = config.get("negative_slope") or 0.0, config.get("max_value")
    if config.get("threshold") or (slope and max_value is not None):
        raise UnsupportedLayerError(
            "a ReLU with a threshold, or with both negative_slope and max_value, is not supported."
        )
    if slope:
        return [layers.Activation(function="leaky_relu", slope=slope)]
    return [layers.Activation(function="relu", max_value=max_value)]


def _leaky_relu(config: LayerConfig) -> list[Layer]:
    slope = config["negative_slope"] if "negative_slope" in config else config.get("alpha", 0.3)
    return [layers.Activation(function="leaky_relu", slope=slope)]


def _zero_padding(config: LayerConfig) -> list[Layer]:
    padding = config.get("padding", 1)
    (top, bottom), (left, right) = (
        [(padding, padding)] * 2 if isinstance(padding, int) else [_pair(edge) for edge in padding]
    )
    return [layers.ZeroPadding(top=top, bottom=bottom, left=left, right=right)]


def _rescaling(config: LayerConfig) -> list[Layer]:
    scale, offset = (
        tuple(value) if isinstance(value, list) else value for value in (config["scale"], config["offset"])
    )
    return [layers.Rescaling(scale=scale, offset=offset)]


def _softmax(config: LayerConfig) -> list[Layer]:
    if config.get("axis", -1) not in (-1, 1):
        raise UnsupportedLayerError("a softmax is supported over the last axis only.")
    return []


def _no_layers(config: LayerConfig) -> list[Layer]:
    return []


READERS: dict[str, Callable[[LayerConfig], list[Layer]]] = {
    "InputLayer": _no_layers,
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
}
