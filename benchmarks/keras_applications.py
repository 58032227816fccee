"""Agreement of imported networks of `keras.applications` with Keras.

    python benchmarks/keras_applications.py

The networks have random weights, with which the outputs differ from image to image, as after training. Appends to
benchmarks/results/keras_import.jsonl.
"""

from __future__ import annotations

import functools
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinysight as ts

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras

NETWORKS = ("MobileNetV2", "ResNet50", "DenseNet121", "EfficientNetB0")
SUFFIXES = ("keras", "h5")
# Coarse blocks of random colors: on fine noise, all images have nearly the same features.
PIXELS = np.random.default_rng(1).integers(0, 256, (6, 3, 4, 4), dtype=np.uint8).repeat(16, 2).repeat(16, 3)


def main() -> None:
    from common import append, stamp

    for name in NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            worst = max(largest_difference(name, suffix, Path(folder)) for suffix in SUFFIXES)
        row = {
            "claim": f"{name}: largest difference of a probability from Keras",
            "ours": f"{worst:.1e}",
            "peer": "target: 1e-4",
            "ratio": f"{worst / 1e-4:.2f}",
            "n": f"{len(PIXELS)} images of 64x64",
        }
        print(json.dumps(append("keras_import", {**row, **stamp()})), flush=True)


def largest_difference(name: str, suffix: str, folder: Path) -> float:
    """Return the largest difference of a probability after import from a file of this suffix."""
    model, expected = application(name)
    path = folder / f"{name}.{suffix}"
    model.save(path)
    run = ts.import_keras(path, out=folder / f"run-{suffix}")
    return float(np.abs(ts.Run.open(run.path).classifier().probabilities(PIXELS) - expected).max())


@functools.cache
def application(name: str) -> tuple[Any, NDArray[np.float32]]:
    """Return a network with ten classes and its probabilities for `PIXELS`. Do not change it."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=10)
    images: NDArray[np.float32] = PIXELS.transpose(0, 2, 3, 1).astype(np.float32)
    if name != "EfficientNetB0":  # it scales its input itself
        images /= 255
    return model, randomize(model, images)


def randomize(model: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Set random weights with which the outputs differ from image to image; return the outputs."""
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


if __name__ == "__main__":
    main()
