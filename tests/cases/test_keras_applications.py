"""Networks of keras.applications give the predictions of Keras after import."""

import functools
import os

import numpy as np
import pytest

import tinysight as ts

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # raised inside Keras
    pytest.mark.filterwarnings("ignore::UserWarning"),  # .h5 is legacy
]
# Coarse blocks of random colors: on fine noise, all images have nearly the same features.
PIXELS = np.random.default_rng(1).integers(0, 256, (6, 3, 4, 4), dtype=np.uint8).repeat(16, 2).repeat(16, 3)


def randomize(model, images):
    """Set random weights with which the outputs differ from image to image, as after training; return the outputs."""
    random = np.random.default_rng(0)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    model(images, training=True)  # sets the statistics to those of the images
    for layer in norms:
        mean, variance = np.asarray(layer.moving_mean.numpy()), np.asarray(layer.moving_variance.numpy())
        variance = variance + mean**2  # in nearly constant channels, rounding errors would grow from layer to layer
        layer.moving_mean.assign(mean + 0.1 * np.sqrt(variance) * random.normal(size=variance.shape))
        layer.moving_variance.assign(variance * random.uniform(0.7, 1.4, variance.shape))
        layer.gamma.assign(random.uniform(0.7, 1.3, variance.shape))
        layer.beta.assign(random.normal(0, 0.1, variance.shape))
    features = np.asarray(keras.Model(model.inputs, model.layers[-1].input)(images, training=False).detach())
    kernel = random.normal(size=(features.shape[1], 10))
    logits = features @ kernel
    scale = 1.5 / logits.std(0)
    model.layers[-1].set_weights([kernel * scale, -(logits * scale).mean(0)])
    return np.asarray(model.layers[-1](features).detach())


@functools.cache
def application(name):
    """A network with ten classes, and its probabilities; tests must not change it."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=10)
    images = PIXELS.transpose(0, 2, 3, 1).astype("float32")
    return model, randomize(model, images if name == "EfficientNetB0" else images / np.float32(255))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "DenseNet121", "EfficientNetB0"])
def test_application_gives_the_probabilities_of_keras(name, suffix, tmp_path):
    model, expected = application(name)
    assert np.ptp(expected, axis=0).max() > 0.1
    model.save(tmp_path / f"m.{suffix}")
    run = ts.import_keras(tmp_path / f"m.{suffix}", out=tmp_path / "run")
    assert np.abs(ts.Run.open(run.path).classifier().probabilities(PIXELS) - expected).max() < 1e-4
