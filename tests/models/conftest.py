"""The four notebook networks in Keras on its torch backend."""

import os
import warnings

import pytest

NAMES = ["simple", "deep", "strided", "early-stopping"]


@pytest.fixture(params=NAMES)
def name(request):
    """The name of a notebook network."""
    return request.param


@pytest.fixture(scope="session")
def keras():
    """Keras with the torch backend; skips the test if it is not available."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("keras", reason="the extra 'keras' is not installed")
    if module.backend.backend() != "torch":
        pytest.skip(f"the Keras backend is {module.backend.backend()}, not torch")
    return module


@pytest.fixture(scope="session")
def keras_network(keras):
    """A function that returns a network by name in Keras, for 10 classes and 32x32 images.

    Each network is built once for each precision. Every call restores its initial weights.
    """
    built = {}

    def network(name):
        key = name, keras.config.floatx()
        if key not in built:
            model = keras.Sequential([keras.Input((32, 32, 3)), *_layers(name, keras.layers)])
            built[key] = model, model.get_weights()
        model, initial = built[key]
        model.set_weights(initial)
        return model

    return network


def _layers(name, layers):
    if name == "early-stopping":
        return [*_block(layers, [(32, 4, 1, "valid")]), *_block(layers, [(32, 4, 1, "valid")]), *_head(layers, 256)]
    if name == "simple":
        return [*_block(layers, [(32, 3, 1, "same")], 0.25), *_head(layers, 512, 0.5)]
    pairs = [
        [(32, 3, 1, "same"), (32, 3, 1, "same")],
        [(64, 3, 1, "same"), (64, 3, 3 if name == "strided" else 1, "valid")],
    ]
    return [layer for pair in pairs for layer in _block(layers, pair, 0.25)] + _head(layers, 512, 0.5)


def _block(layers, convolutions, dropout=0.0):
    block = []
    for filters, kernel, strides, padding in convolutions:
        block += [layers.Conv2D(filters, kernel, strides, padding), layers.Activation("relu")]
    return [*block, layers.MaxPooling2D(2), *([layers.Dropout(dropout)] if dropout else [])]


def _head(layers, width, dropout=0.0):
    dropout_layers = [layers.Dropout(dropout)] if dropout else []
    hidden = [layers.Flatten(), layers.Dense(width), layers.Activation("relu"), *dropout_layers]
    return [*hidden, layers.Dense(10), layers.Activation("softmax")]


@pytest.fixture(scope="session")
def as_keras_weights():
    """A function that returns the weights of a torch network in the order and layout of Keras."""
    orders = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}  # biases, dense (out, in) and convolution (out, in, height, width)
    return lambda network: [p.detach().permute(orders[p.dim()]).numpy() for p in network.parameters()]
