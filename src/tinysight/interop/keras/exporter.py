"""Export of a classifier to Keras.

The installed version of Keras writes the files: architecture JSON, HDF5 weights and a .keras archive.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

from tinysight._util.files import atomic_dir, write_text
from tinysight.data.labels import Task
from tinysight.interop.exporters import Exporter, ExportOptions, crop_program, open_program
from tinysight.interop.keras.architecture import KerasArchitecture
from tinysight.interop.keras.graph import KerasLayer, Spec
from tinysight.interop.keras.weights import weight_specs
from tinysight.interop.portable import PortableModel, to_portable
from tinysight.models.classifier import Classifier
from tinysight.models.predictor import Predictor
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer

ARCHITECTURE_FILE, WEIGHTS_FILE, MODEL_FILE = "architecture.json", "model.weights.h5", "model.keras"
CLASS_NAMES_FILE, THRESHOLDS_FILE = "class_names.json", "thresholds.json"


_EXAMPLE = """import json
import keras

model = keras.models.load_model({model!r})
with open({names!r}, encoding="utf-8") as file:
    names = json.load(file)
probabilities = model.predict(images.astype("float32")).mean(0)  # (n, {size}, {size}, 3), 0..255
"""

_DECISIONS: dict[Task, str] = {
    "multi-class": """print(names[probabilities.argmax()], probabilities.max())
""",
    "multi-label": """with open({thresholds!r}) as file:
    thresholds = json.load(file)
for index in np.flatnonzero(probabilities >= np.array(thresholds)):  # may be none
    print(names[index], probabilities[index])
""",
}


class KerasExporter(Exporter):
    """Writes a folder for Keras 3 on any backend.

    The model takes float images of 0..255, (n, height, width, 3), and returns probabilities (n, classes). If images may
    have several labels, a second file lists the thresholds of the labels.
    """

    name, package, suffix = "keras", "keras", "-keras"

    def _write(self, classifier: Classifier, path: Path, options: ExportOptions) -> None:
        model = to_keras(to_portable(classifier))
        with atomic_dir(path) as draft:
            write_text(draft / ARCHITECTURE_FILE, model.to_json(indent=1))
            model.save_weights(draft / WEIGHTS_FILE)
            model.save(draft / MODEL_FILE)
            write_text(draft / CLASS_NAMES_FILE, json.dumps(classifier.class_names, ensure_ascii=False) + "\n")
            if classifier.task == "multi-label":
                write_text(draft / THRESHOLDS_FILE, json.dumps(classifier.thresholds) + "\n")

    def usage(self, path: Path, classifier: Predictor) -> str:
        """Return a program that classifies `cat.jpg` with Keras."""
        model, names = str(path / MODEL_FILE), str(path / CLASS_NAMES_FILE)
        example = _EXAMPLE.format(model=model, names=names, size=classifier.image_size)
        decision = _DECISIONS[classifier.task].format(thresholds=str(path / THRESHOLDS_FILE))
        return open_program(classifier) + crop_program(classifier) + example + decision


EXPORTER = KerasExporter()


def to_keras(portable: PortableModel) -> Any:
    """Convert a portable model to a `keras.Sequential`, or with branches to a functional `keras.Model`."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    image = keras.Input((portable.image_size, portable.image_size, 3))
    plain = [spec for spec in portable.layers if not isinstance(spec, layers.Residual | layers.Graph)]
    last = keras.layers.Activation("sigmoid") if portable.task == "multi-label" else keras.layers.Softmax()
    pairs: list[tuple[Spec, Any]]
    if len(plain) < len(portable.layers):
        pairs, features = _connect(portable.layers, image)
        model = keras.Model(image, last(features))
    else:
        pairs = [(spec, to_keras_layer(spec)) for spec in plain]
        model = keras.Sequential([image, *(layer for _, layer in pairs), last])
    weighted = tuple(KerasLayer(type(layer).__name__, layer.name, (spec,)) for spec, layer in pairs)
    state = portable.network.state_dict()
    for layer, slots in weight_specs(KerasArchitecture(portable.image_size, weighted), portable.network):
        values = [slot.to_keras(state[slot.key].numpy()).reshape(slot.shape) for slot in slots]
        model.get_layer(layer.name).set_weights(values)
    return model


def _connect(specs: Sequence[Layer], values: Any) -> tuple[list[tuple[Spec, Any]], Any]:
    """Apply the layers to a Keras tensor; return each with its Keras layer, and the result."""
    from keras.layers import Add

    pairs: list[tuple[Spec, Any]] = []
    for spec in specs:
        if isinstance(spec, layers.Residual):
            (body, total), (shortcut, across) = (_connect(part, values) for part in (spec.layers, spec.shortcut))
            pairs += [*body, *shortcut]
            values = Add()([total, across])
        elif isinstance(spec, layers.Graph):
            results = {layers.GRAPH_INPUT: values}
            for node in spec.nodes:
                pairs.append((node.layer, to_keras_layer(node.layer)))
                inputs = [results[name] for name in node.inputs]
                values = pairs[-1][1](inputs if isinstance(node.layer, layers.Merge) else inputs[0])
                results[node.name] = values
        else:
            pairs.append((spec, to_keras_layer(spec)))
            values = pairs[-1][1](values)
    return pairs, values


@singledispatch
def to_keras_layer(layer: Spec) -> Any:
    """Return the Keras layer for a layer specification."""
    raise NotImplementedError(type(layer).__name__)


def _conv_arguments(layer: layers.Conv2d | layers.DepthwiseConv2d) -> dict[str, Any]:
    return {
        "kernel_size": layer.kernel,
        "strides": layer.stride,
        "dilation_rate": layer.dilation,
        "padding": layer.padding,
        "use_bias": layer.bias,
    }


@to_keras_layer.register
def _(layer: layers.Conv2d) -> Any:
    from keras.layers import Conv2D

    return Conv2D(layer.channels, groups=layer.groups, **_conv_arguments(layer))


@to_keras_layer.register
def _(layer: layers.DepthwiseConv2d) -> Any:
    from keras.layers import DepthwiseConv2D

    return DepthwiseConv2D(depth_multiplier=layer.multiplier, **_conv_arguments(layer))


@to_keras_layer.register
def _(layer: layers.Pool2d) -> Any:
    from keras.layers import AveragePooling2D, MaxPooling2D

    kind = MaxPooling2D if layer.kind == "max_pooling" else AveragePooling2D
    return kind(layer.window, layer.stride, layer.padding)


@to_keras_layer.register
def _(layer: layers.GlobalPool2d) -> Any:
    from keras.layers import GlobalAveragePooling2D, GlobalMaxPooling2D

    return GlobalMaxPooling2D() if layer.kind == "global_max_pooling" else GlobalAveragePooling2D()


@to_keras_layer.register
def _(layer: layers.BatchNorm) -> Any:
    from keras.layers import BatchNormalization

    return BatchNormalization(epsilon=layer.epsilon, scale=layer.scale, center=layer.shift)


@to_keras_layer.register
def _(layer: layers.Dropout) -> Any:
    from keras.layers import Dropout

    return Dropout(layer.rate)


@to_keras_layer.register
def _(layer: layers.Flatten) -> Any:
    from keras.layers import Flatten

    return Flatten()


@to_keras_layer.register
def _(layer: layers.Dense) -> Any:
    from keras.layers import Dense

    return Dense(layer.outputs, use_bias=layer.bias)


@to_keras_layer.register
def _(layer: layers.Activation) -> Any:
    from keras.layers import ELU, Activation, LeakyReLU, ReLU

    match layer.function:
        case "relu" if layer.max_value is not None:
            return ReLU(max_value=layer.max_value)
        case "leaky_relu":
            return LeakyReLU(negative_slope=layer.slope)
        case "elu":
            return ELU(alpha=layer.slope)
        case function:
            return Activation(function)


@to_keras_layer.register
def _(layer: layers.ZeroPadding) -> Any:
    from keras.layers import ZeroPadding2D

    return ZeroPadding2D(((layer.top, layer.bottom), (layer.left, layer.right)))


@to_keras_layer.register
def _(layer: layers.Rescaling) -> Any:
    from keras.layers import Rescaling

    return Rescaling(layer.scale, layer.offset)


@to_keras_layer.register
def _(layer: layers.Crop) -> Any:
    from keras.layers import Cropping2D

    return Cropping2D(((layer.top, layer.bottom), (layer.left, layer.right)))


@to_keras_layer.register
def _(layer: layers.Resize) -> Any:
    from keras.layers import Resizing

    return Resizing(*layer.size, interpolation=layer.interpolation)


@to_keras_layer.register
def _(layer: layers.Reshape) -> Any:
    from keras.layers import Reshape

    return Reshape(layer.shape)


@to_keras_layer.register
def _(layer: layers.Merge) -> Any:
    import keras

    return getattr(keras.layers, layer.kind.capitalize())()
