"""Case B6: functional Keras models with branches give the predictions of Keras, and are runs like any other."""

import json
import os

import numpy as np
import pytest

import tinysight as ts
from tinysight._util.errors import ModelError

os.environ.setdefault("KERAS_BACKEND", "torch")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # raised inside Keras
    pytest.mark.filterwarnings("ignore::UserWarning"),  # .h5 is legacy
]
L = keras.layers
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 3, 16, 16), dtype=np.uint8)


def randomize(model, seed=0):
    """Set all floating-point weights to random values, with positive variances."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" not in weight.path:
            scale = 0.1 if len(weight.shape) < 2 else np.sqrt(2 / np.prod(weight.shape[:-1]))
            values = random.normal(0, scale, weight.shape)
            weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def functional(body, size=16, **head):
    """A model of three classes whose features `body` computes from the image; they may be flat or not."""
    image = keras.Input((size, size, 3), name="image")
    features = body(image)
    if len(features.shape) == 4:
        features = L.GlobalAveragePooling2D()(features)
    return randomize(keras.Model(image, L.Dense(3, **{"activation": "softmax"} | head)(features)))


def outputs_of(model, pixels=PIXELS, scale=255.0):
    """What Keras returns for the pixels divided by `scale`."""
    images = pixels.transpose(0, 2, 3, 1).astype("float32") / np.float32(scale)
    return np.asarray(model(images, training=False).detach())


def difference(run, model):
    """The largest difference of the probabilities of a run and of Keras; those of Keras must depend on the image."""
    expected = outputs_of(model)
    assert np.ptp(expected, axis=0).max() > 1e-3
    return np.abs(run.classifier().probabilities(PIXELS) - expected).max()


def save_keras_2(model, path):
    """Write a whole-model file in the layout and the architecture format of Keras 2."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = b"2.15.0", b"tensorflow"
        file.attrs["model_config"] = json.dumps(keras_2(json.loads(model.to_json()))).encode()
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group, inner = root.create_group(layer.name), getattr(layer, "layers", [layer])
            arrays = [(f"{part.name}/{weight.name}:0", weight) for part in inner for weight in part.weights]
            arrays = [(name, weight) for name, weight in arrays if "seed" not in weight.path]
            arrays.sort(key=lambda entry: not entry[1].trainable)  # Keras 2 lists the trainable ones first
            group.attrs["weight_names"] = [name.encode() for name, _ in arrays]
            for name, weight in arrays:
                group.create_dataset(name, data=np.asarray(weight.numpy()))


def keras_2(model):
    """The architecture in the JSON of Keras 2, in which each tensor is [layer, call, output, keywords]."""

    def tensors(value):
        if isinstance(value, dict) and "keras_history" in value.get("config", {}):
            return [[*value["config"]["keras_history"], {}]]
        parts = value if isinstance(value, list) else []
        return [tensor for part in parts for tensor in tensors(part)]

    config = dict(model["config"])
    config["layers"] = [
        (keras_2(entry) if entry["class_name"] == "Functional" else {"config": entry["config"]})
        | {
            "class_name": entry["class_name"],
            "name": entry["config"]["name"],
            "inbound_nodes": [tensors(node["args"]) for node in entry.get("inbound_nodes", [])],
        }
        for entry in config["layers"]
    ]
    for key in ("input_layers", "output_layers"):
        config[key] = [config[key]] if isinstance(config[key][0], str) else config[key]
    return {"class_name": model["class_name"], "config": config}


WRITERS = {
    "keras": (lambda model, path: model.save(path), "m.keras"),
    "h5": (lambda model, path: model.save(path), "m.h5"),
    "keras 2": (save_keras_2, "m.h5"),
}


def imported(model, folder, writer="keras", **options):
    write, name = WRITERS[writer]
    write(model, folder / name)
    return ts.import_keras(folder / name, out=folder / "run", **options)


def conv(filters=6, **options):
    return L.Conv2D(filters, 3, **{"padding": "same"} | options)


def residual(x):
    x = conv()(x)
    y = L.BatchNormalization()(conv(use_bias=False)(L.ReLU()(x)))
    return L.Activation("relu")(L.Add()([x, y]))


def bottleneck_with_projection(x):
    x = L.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = L.ReLU(6.0)(L.BatchNormalization(scale=False)(conv(strides=2, padding="valid")(x)))
    y = L.DepthwiseConv2D(3, strides=2, padding="same")(x)
    y = L.BatchNormalization(center=False, epsilon=0.01)(L.Conv2D(8, 1)(y))
    return L.Add()([y, L.Conv2D(8, 1, strides=2)(x)])


def dense_blocks(x):
    for _ in range(3):
        y = conv(4, use_bias=False)(L.ReLU(negative_slope=0.1)(L.BatchNormalization()(x)))
        x = L.Concatenate(axis=3)([x, y])
    return L.AveragePooling2D(2)(L.concatenate([x, L.SeparableConv2D(5, 3, padding="same")(x)]))


def inception(x):
    x = conv(dilation_rate=2)(x)
    branches = [L.Conv2D(3, 1)(x), conv(4)(L.Conv2D(2, 1, activation="swish")(x)), L.MaxPooling2D(3, 1, "same")(x)]
    return L.Concatenate()([*branches, L.Conv2D(2, 1)(L.AveragePooling2D(3, 1, "same")(x))])


def squeeze_and_excite(x):
    x = conv(8)(x)
    s = L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(x))
    s = L.Conv2D(8, 1, activation="sigmoid")(L.Conv2D(2, 1, activation="silu")(s))
    return L.Multiply()([x, s])


def squeeze_that_keeps_its_axes(x):
    x = conv(8)(x)
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    return L.Multiply()([x, L.Dense(8, "sigmoid", use_bias=False)(L.Dense(2, "relu")(s))])


def squeeze_of_features(x):
    x = conv(8)(x)
    return L.multiply([x, L.Dense(8, "sigmoid")(L.Dense(2, "relu")(L.GlobalMaxPooling2D()(x)))])


def spatial_attention(x):
    x = conv(8)(x)
    return L.Multiply()([x, L.Conv2D(1, 7, padding="same", activation="sigmoid")(x)])


def elementwise(x):
    a, b = conv()(x), conv()(x)
    return L.Concatenate()([L.Subtract()([a, b]), L.Average()([a, b, a]), L.Maximum()([a, b]), L.Minimum()([a, b])])


def flat_branches(x):
    x = conv()(x)
    a, b = L.Flatten()(L.MaxPooling2D(4)(x)), L.GlobalAveragePooling2D()(x)
    return L.Dropout(0.3)(L.Dense(9, "tanh")(L.BatchNormalization()(L.Concatenate(axis=1)([a, b]))))


def reshaped_features(x):
    x = L.Dense(4 * 4 * 2, "relu")(L.Flatten()(L.MaxPooling2D(4)(x)))
    y = L.Reshape((4, -1, 2))(x)
    return L.Flatten()(L.Add()([y, conv(2)(y)]))


def operators(x):
    x = conv()(x / 0.5 - 1)
    y = L.Conv2D(6, 1)(x) * 0.7 + 0.1
    return keras.ops.concatenate([x + y, 1 - x * y, keras.ops.maximum(x, y)], axis=-1)


def shared_activation(x):
    activation, drop = L.LeakyReLU(negative_slope=0.2), L.SpatialDropout2D(0.1)
    x = drop(activation(conv()(x)))
    return L.Add()([x, drop(activation(conv()(x)))])


def nested_models(x):
    def block(name):
        inner = keras.Input((16, 16, 6))
        features = L.BatchNormalization(name=f"{name}-norm")(conv(name=f"{name}-conv")(inner))
        return keras.Model(inner, L.Add(name=f"{name}-add")([inner, features]), name=name)

    x = conv()(x)
    y = block("first")(x)
    return L.Add()([block("second")(y), x, keras.Sequential([L.Conv2D(6, 1)])(y)])


GRAPHS = [
    residual,
    bottleneck_with_projection,
    dense_blocks,
    inception,
    squeeze_and_excite,
    squeeze_that_keeps_its_axes,
    squeeze_of_features,
    spatial_attention,
    elementwise,
    flat_branches,
    reshaped_features,
    shared_activation,
    nested_models,
]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("body", GRAPHS, ids=lambda body: body.__name__)
def test_graph_gives_the_probabilities_of_keras_from_every_kind_of_file(body, writer, tmp_path):
    model = functional(body)
    assert difference(imported(model, tmp_path, writer), model) < 1e-5


def test_operators_of_keras_3_give_the_probabilities_of_keras(tmp_path):
    model = functional(operators)
    assert difference(imported(model, tmp_path), model) < 1e-5
