"""The notebooks' four networks as the notebooks write them, in Keras, on its torch backend."""

import os
import warnings

import pytest

NAMES = ["simple", "deep", "strided", "early-stopping"]


@pytest.fixture(params=NAMES)
def name(request):
    """The name of each of the four networks in turn."""
    return request.param


@pytest.fixture(scope="session")
def keras():
    """Keras on torch, or a skipped test."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("keras", reason="the extra 'keras' is not installed")
    if module.backend.backend() != "torch":
        pytest.skip(f"Keras runs on {module.backend.backend()} here, not on torch")
    return module


@pytest.fixture(scope="session")
def keras_network(keras):
    """Return a function from a name to that network in Keras, for ten classes of 32x32."""
    return lambda name: keras.Sequential([keras.Input((32, 32, 3)), *_layers(name, keras.layers)])


def _layers(name, of):
    if name == "early-stopping":
        return [*_block(of, [(32, 4, 1, "valid")]), *_block(of, [(32, 4, 1, "valid")]), *_head(of, 256)]
    if name == "simple":
        return [*_block(of, [(32, 3, 1, "same")], 0.25), *_head(of, 512, 0.5)]
    pairs = [
        [(32, 3, 1, "same"), (32, 3, 1, "same")],
        [(64, 3, 1, "same"), (64, 3, 3 if name == "strided" else 1, "valid")],
    ]
    return [layer for pair in pairs for layer in _block(of, pair, 0.25)] + _head(of, 512, 0.5)


def _block(of, convolutions, dropout=0.0):
    layers = []
    for filters, kernel, strides, padding in convolutions:
        layers += [of.Conv2D(filters, kernel, strides, padding), of.Activation("relu")]
    return [*layers, of.MaxPooling2D(2), *([of.Dropout(dropout)] if dropout else [])]


def _head(of, width, dropout=0.0):
    dropped = [of.Dropout(dropout)] if dropout else []
    return [
        *[of.Flatten(), of.Dense(width), of.Activation("relu"), *dropped],
        *[of.Dense(10), of.Activation("softmax")],
    ]


@pytest.fixture(scope="session")
def as_keras_weights():
    """Return a function from a network of ours to its weights in Keras' order and layouts."""
    orders = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}  # biases, dense (out, in) and convolution (out, in, height, width)
    return lambda network: [p.detach().permute(orders[p.dim()]).numpy() for p in network.parameters()]
