"""Each kind of layer survives the way to Keras and back, and weights of every layout are matched to their layers."""

import json
import os

import numpy as np
import pytest
import torch

from tinysight._util.errors import ModelError
from tinysight.interop.keras.architecture import parse_architecture
from tinysight.interop.keras.layer_readers import snake_case
from tinysight.interop.keras.weights import read_weights
from tinysight.models.families.sequential import build_sequential
from tinysight.recipes import layers

os.environ.setdefault("KERAS_BACKEND", "torch")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised inside Keras

SPATIAL = [
    layers.Conv2d(channels=6, kernel=(3, 2), stride=(2, 1), padding="same", groups=3, bias=False),
    layers.Conv2d(channels=4, kernel=(2, 3), dilation=(2, 1)),
    layers.DepthwiseConv2d(kernel=(3, 3), multiplier=2, stride=(2, 2), padding="same"),
    layers.Pool2d(kind="max_pooling", window=(3, 2), stride=(2, 1), padding="same"),
    layers.Pool2d(kind="average_pooling", window=(3, 5), stride=(1, 1), padding="same"),
    layers.BatchNorm(epsilon=0.01),
    layers.BatchNorm(scale=False),
    layers.BatchNorm(shift=False),
    layers.Dropout(rate=0.3),
    layers.ZeroPadding(top=1, bottom=2, left=3, right=0),
    layers.Rescaling(scale=0.5, offset=-1.0),
    layers.Activation(function="relu", max_value=3.0),
    layers.Activation(function="leaky_relu", slope=0.1),
    layers.Activation(function="elu", slope=0.7),
    *(layers.Activation(function=name) for name in ("relu", "relu6", "selu", "gelu", "silu", "sigmoid", "tanh")),
]


def randomized(network, fixed=()):
    """The network with random weights and positive variances, but for the tensors whose names end in `fixed`."""
    torch.manual_seed(1)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not name.endswith(tuple(fixed)):
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else 0.4 * torch.randn_like(tensor))
    return network.eval()


@pytest.mark.parametrize("layer", SPATIAL, ids=str)
@pytest.mark.parametrize("pool", ["global_max_pooling", "global_average_pooling"])
def test_layer_is_the_same_in_keras_and_after_import(layer, pool):
    from tinysight.interop.keras.exporter import to_keras
    from tinysight.interop.portable import PortableModel

    specs = [layer, layers.GlobalPool2d(kind=pool), layers.Dense(outputs=2)]
    absent = (
        [("body.0.weight", layer.scale), ("body.0.bias", layer.shift)] if layer.kind == "batch_normalization" else []
    )
    fixed = [name for name, is_present in absent if not is_present]
    network = randomized(build_sequential(specs, 2, 8), fixed)
    model = to_keras(PortableModel(specs, network, ("a", "b"), 8))
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        expected = network(images).softmax(1)
        probabilities = torch.as_tensor(model(images.permute(0, 2, 3, 1).contiguous(), training=False))
    torch.testing.assert_close(probabilities, expected, atol=1e-4, rtol=1e-4)
    imported = parse_architecture(model.to_json(), "model.json").layer_specs
    again = randomized(build_sequential(imported, 2, 8), fixed)
    with torch.no_grad():
        torch.testing.assert_close(again(images), network(images), atol=1e-5, rtol=1e-5)


CONFIGS = [
    ("InputLayer", {"batch_shape": [None, 8, 8, 3]}),
    ("Conv2D", {"filters": 2, "kernel_size": [1, 1]}),
    ("Conv2D", {"filters": 2, "kernel_size": [1, 1], "use_bias": False}),
    ("Flatten", {}),
    ("Dense", {"units": 2, "activation": "softmax"}),
]
ARRAYS = {"conv2d": [(1, 1, 3, 2), (2,)], "conv2d_1": [(1, 1, 2, 2)], "dense": [(128, 2), (2,)]}


@pytest.fixture(scope="module")
def architecture():
    config = [{"class_name": kind, "config": values} for kind, values in CONFIGS]
    return parse_architecture(json.dumps({"class_name": "Sequential", "config": config}), "model.json")


def values_of(name, index):
    return np.full(ARRAYS[name][index], 10 * list(ARRAYS).index(name) + index, np.float32)


def write_keras_2(file, arrays=ARRAYS):
    file.attrs["layer_names"] = [b"empty", *(name.encode() for name in arrays)]
    file.create_group("empty").attrs["weight_names"] = []
    for name in arrays:
        group = file.create_group(name)
        group.attrs["weight_names"] = [f"{name}/{index}:0".encode() for index in range(len(arrays[name]))]
        for index in range(len(arrays[name])):
            group[f"{name}/{index}:0"] = values_of(name, index)


def write_keras_3(file):
    for name, shapes in ARRAYS.items():
        for index in range(len(shapes)):
            file[f"layers/{name}/vars/{index}"] = values_of(name, index)


def write_whole_keras_2(file):
    write_keras_2(file.create_group("model_weights"))


def read(write, architecture):
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as file:
        write(file)
        return read_weights(file, architecture, build_sequential(architecture.layer_specs, 2, 8))


@pytest.mark.parametrize("write", [write_keras_2, write_whole_keras_2, write_keras_3])
def test_each_array_goes_to_its_layer_in_every_layout(write, architecture):
    values = [(tuple(tensor.shape), set(tensor.flatten().tolist())) for tensor in read(write, architecture).values()]
    assert values == [((2, 3, 1, 1), {0}), ((2,), {1}), ((2, 2, 1, 1), {10}), ((2, 128), {20}), ((2,), {21})]


def test_missing_layer_of_keras_2_is_refused_with_both_counts(architecture):
    with pytest.raises(ModelError) as caught:
        read(lambda file: write_keras_2(file, {"conv2d": ARRAYS["conv2d"]}), architecture)
    assert str(caught.value) == (
        "Weights: the file has weights of 1 layers, but the architecture needs 3. Give the weights of this "
        "architecture."
    )


def test_missing_array_of_keras_2_is_refused_with_both_counts(architecture):
    with pytest.raises(ModelError) as caught:
        read(lambda file: write_keras_2(file, ARRAYS | {"dense": [(128, 2)]}), architecture)
    assert str(caught.value) == (
        "dense: the file has 1 arrays, but Dense has 2. Give the weights of this architecture."
    )


def test_file_of_no_layout_is_refused_with_the_sentence(architecture):
    with pytest.raises(ModelError) as caught:
        read(lambda file: file.create_group("other"), architecture)
    assert str(caught.value) == (
        "Weights: the file has neither `layer_names` nor a group `layers`. Give a weights file that Keras saved."
    )


@pytest.mark.parametrize("kind", ["Conv2D", "SeparableConv2D", "BatchNormalization", "Dense", "ReLU", "ELU", "PReLU"])
def test_class_names_are_written_as_keras_writes_them(kind):
    from keras.src.utils.naming import to_snake_case

    assert snake_case(kind) == to_snake_case(kind)
