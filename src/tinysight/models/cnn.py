"""Four small CNNs from course notebooks (Gulli & Pal 2017).

They reproduce the networks of "Deep Learning with Keras" layer by layer, but return logits: the loss and the classifier
apply the softmax that the notebooks write as a layer.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from tinysight._util.errors import RecipeError
from tinysight.models.layers import ByteDropout, ChannelsLastFlatten


def build_simple(num_classes: int, image_size: int) -> nn.Sequential:
    """Build one convolution and a wide dense layer: 4,200,842 parameters for 10 classes, 32x32."""
    return _with_head([*_conv(3, 32, padding=1), nn.MaxPool2d(2), ByteDropout(0.25)], num_classes, image_size)


def build_deep(num_classes: int, image_size: int) -> nn.Sequential:
    """Build two pairs of convolutions: 1,676,842 parameters for 10 classes, 32x32."""
    return _with_head([*_first_pair(), *_second_pair(stride=1)], num_classes, image_size)


def build_strided(num_classes: int, image_size: int) -> nn.Sequential:
    """Build `deep` with stride 3 in its last convolution: 202,282 parameters for 10 classes, 32x32.

    The notebooks write `Conv2D(64, 3, 3)`: a 3x3 kernel in Keras 1, but stride 3 since Keras 2.
    """
    return _with_head([*_first_pair(), *_second_pair(stride=3)], num_classes, image_size)


def build_early_stopping(num_classes: int, image_size: int) -> nn.Sequential:
    """Build two 4x4 convolutions without dropout: 225,610 parameters for 10 classes, 32x32."""
    features = [
        *_conv(3, 32, kernel=4),
        nn.MaxPool2d(2),
        *_conv(32, 32, kernel=4),
        nn.MaxPool2d(2),
        ChannelsLastFlatten(),
    ]
    width = _num_features(features, image_size)
    return _init_like_keras([*features, nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, num_classes)])


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU()]


def _first_pair() -> list[nn.Module]:
    return [*_conv(3, 32, padding=1), *_conv(32, 32, padding=1), nn.MaxPool2d(2), ByteDropout(0.25)]


def _second_pair(stride: int) -> list[nn.Module]:
    return [*_conv(32, 64, padding=1), *_conv(64, 64, stride=stride), nn.MaxPool2d(2), ByteDropout(0.25)]


def _with_head(features: list[nn.Module], classes: int, image_size: int) -> nn.Sequential:
    """Append the notebooks' head: Dense(512), ReLU, Dropout(0.5), Dense(classes)."""
    features = [*features, ChannelsLastFlatten()]
    width = _num_features(features, image_size)
    return _init_like_keras([*features, nn.Linear(width, 512), nn.ReLU(), ByteDropout(0.5), nn.Linear(512, classes)])


def _num_features(layers: Iterable[nn.Module], image_size: int) -> int:
    """Compute the number of features after `layers` from the layer sizes, without a forward pass."""
    channels, size = 3, image_size
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            border = 2 * int(layer.padding[0]) - layer.kernel_size[0]
            channels, size = layer.out_channels, (size + border) // layer.stride[0] + 1
        elif isinstance(layer, nn.MaxPool2d):
            size //= 2
        if size < 1:
            raise RecipeError(
                f"Images of {image_size}x{image_size}: too small for this network. Increase data.image_size."
            )
    return channels * size**2


def _init_like_keras(layers: list[nn.Module]) -> nn.Sequential:
    """Initialize as Keras does: Glorot-uniform weights (Glorot & Bengio 2010), zero biases."""
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
