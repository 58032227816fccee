"""Export of a classifier to Keras.

The installed version of Keras writes the files: architecture JSON, HDF5 weights and a .keras archive.
"""

from __future__ import annotations

import json
import os
from functools import singledispatch
from pathlib import Path
from typing import Any

from tinysight import packages
from tinysight.files import new_folder, write_text
from tinysight.interop.keras.architecture import Architecture, Weighted
from tinysight.interop.keras.weights import slots_of
from tinysight.interop.plain import Plain, plain
from tinysight.models.classifier import Classifier
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer

ARCHITECTURE, WEIGHTS, MODEL = "architecture.json", "model.weights.h5", "model.keras"
NAMES = "class_names.json"


def export_keras(classifier: Classifier, folder: Path) -> None:
    """Write a classifier to a new directory, for Keras 3 on any backend.

    The model takes float images of 0..255, (n, height, width, 3), and returns probabilities (n, classes).

    Raises:
        InputError: Keras is not installed.
        StorageError: `folder` already exists, or the disk is full.
    """
    packages.require("keras", extra="keras")
    model = to_keras(plain(classifier))
    with new_folder(folder) as draft:
        write_text(draft / ARCHITECTURE, model.to_json(indent=1))
        model.save_weights(draft / WEIGHTS)
        model.save(draft / MODEL)
        write_text(draft / NAMES, json.dumps(classifier.class_names, ensure_ascii=False) + "\n")


def to_keras(network: Plain) -> Any:
    """Convert a portable model to a `keras.Sequential`."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    pairs = [(spec, keras_layer(spec)) for spec in network.layers]
    image_shape = (network.image_size, network.image_size, 3)
    model = keras.Sequential([keras.Input(image_shape), *(layer for _, layer in pairs)])
    model.add(keras.layers.Softmax())
    weighted = tuple(Weighted(type(layer).__name__, layer.name, (spec,)) for spec, layer in pairs)
    state = network.network.state_dict()
    for layer, slots in slots_of(Architecture(network.image_size, weighted, takes_raw_pixels=True), network.network):
        values = [slot.back(state[slot.key].numpy()).reshape(slot.shape) for slot in slots]
        model.get_layer(layer.name).set_weights(values)
    return model


@singledispatch
def keras_layer(layer: Layer) -> Any:
    """Return the Keras layer for a layer specification."""
    raise NotImplementedError(type(layer).__name__)


def _conv_arguments(layer: layers.Convolution | layers.Depthwise) -> dict[str, Any]:
    return {
        "kernel_size": layer.kernel,
        "strides": layer.stride,
        "dilation_rate": layer.dilation,
        "padding": layer.padding,
        "use_bias": layer.bias,
    }


@keras_layer.register
def _(layer: layers.Convolution) -> Any:
    from keras.layers import Conv2D

    return Conv2D(layer.channels, groups=layer.groups, **_conv_arguments(layer))


@keras_layer.register
def _(layer: layers.Depthwise) -> Any:
    from keras.layers import DepthwiseConv2D

    return DepthwiseConv2D(depth_multiplier=layer.multiplier, **_conv_arguments(layer))


@keras_layer.register
def _(layer: layers.Pooling) -> Any:
    from keras.layers import AveragePooling2D, MaxPooling2D

    kind = MaxPooling2D if layer.kind == "max_pooling" else AveragePooling2D
    return kind(layer.window, layer.stride, layer.padding)


@keras_layer.register
def _(layer: layers.GlobalPooling) -> Any:
    from keras.layers import GlobalAveragePooling2D, GlobalMaxPooling2D

    return GlobalMaxPooling2D() if layer.kind == "global_max_pooling" else GlobalAveragePooling2D()


@keras_layer.register
def _(layer: layers.Normalising) -> Any:
    from keras.layers import BatchNormalization

    return BatchNormalization(epsilon=layer.epsilon, scale=layer.scale, center=layer.shift)


@keras_layer.register
def _(layer: layers.Dropping) -> Any:
    from keras.layers import Dropout

    return Dropout(layer.share)


@keras_layer.register
def _(layer: layers.Flattening) -> Any:
    from keras.layers import Flatten

    return Flatten()


@keras_layer.register
def _(layer: layers.Dense) -> Any:
    from keras.layers import Dense

    return Dense(layer.outputs, use_bias=layer.bias)


@keras_layer.register
def _(layer: layers.Activation) -> Any:
    from keras.layers import ELU, Activation, LeakyReLU, ReLU

    match layer.function:
        case "relu" if layer.most is not None:
            return ReLU(max_value=layer.most)
        case "leaky_relu":
            return LeakyReLU(negative_slope=layer.slope)
        case "elu":
            return ELU(alpha=layer.slope)
        case function:
            return Activation(function)


@keras_layer.register
def _(layer: layers.ZeroPadding) -> Any:
    from keras.layers import ZeroPadding2D

    return ZeroPadding2D(((layer.top, layer.bottom), (layer.left, layer.right)))


@keras_layer.register
def _(layer: layers.Rescaling) -> Any:
    from keras.layers import Rescaling

    return Rescaling(layer.scale, layer.offset)
