"""Four small CNNs from course notebooks (Gulli & Pal 2017).

They reproduce the networks of "Deep Learning with Keras" layer by layer, but return logits: the loss and the classifier
apply the softmax that the notebooks write as a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn

from tinysight._util.errors import RecipeError
from tinysight.models.family import Family
from tinysight.models.layers import ByteDropout, ChannelsLastFlatten
from tinysight.models.network import Network
from tinysight.recipes.schema import ModelSection


@dataclass(frozen=True)
class CnnFamily(Family):
    """Convolutions, then a hidden dense layer and the output layer.

    Attributes:
        name: the value of `model.architecture`.
        convolutions: returns new layers up to the hidden layer.
        hidden: width of the hidden layer.
        dropout: dropout rate after the hidden layer; 0 for none.
    """

    name: str
    convolutions: Callable[[], list[nn.Module]]
    hidden: int = 512
    dropout: float = 0.5

    def build(self, model: ModelSection, num_classes: int, image_size: int) -> nn.Module:
        """Build the network, initialized as in Keras. Raises RecipeError if the images are too small."""
        layers = [*self.convolutions(), ChannelsLastFlatten()]
        width = _num_features(layers, image_size)
        layers += [nn.Linear(width, self.hidden), nn.ReLU()]
        layers += [ByteDropout(self.dropout)] if self.dropout else []
        network = Network(nn.Sequential(*layers), nn.Linear(self.hidden, num_classes))
        _init_like_keras(network)
        return network


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU()]


def _simple() -> list[nn.Module]:
    return [*_conv(3, 32, padding=1), nn.MaxPool2d(2), ByteDropout(0.25)]


def _deep(stride: int = 1) -> list[nn.Module]:
    first_pair = [*_conv(3, 32, padding=1), *_conv(32, 32, padding=1), nn.MaxPool2d(2), ByteDropout(0.25)]
    second_pair = [*_conv(32, 64, padding=1), *_conv(64, 64, stride=stride), nn.MaxPool2d(2), ByteDropout(0.25)]
    return [*first_pair, *second_pair]


def _strided() -> list[nn.Module]:
    """Return `deep` with stride 3 in its last convolution.

    The notebooks write `Conv2D(64, 3, 3)`: a 3x3 kernel in Keras 1, but stride 3 since Keras 2.
    """
    return _deep(stride=3)


def _early_stopping() -> list[nn.Module]:
    return [*_conv(3, 32, kernel=4), nn.MaxPool2d(2), *_conv(32, 32, kernel=4), nn.MaxPool2d(2)]


# The comments give the number of parameters for 10 classes and 32x32 images.
FAMILIES = (
    CnnFamily("simple", _simple),  # 4,200,842
    CnnFamily("deep", _deep),  # 1,676,842
    CnnFamily("strided", _strided),  # 202,282
    CnnFamily("early-stopping", _early_stopping, hidden=256, dropout=0.0),  # 225,610
)


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


def _init_like_keras(network: nn.Module) -> None:
    """Initialize as Keras does: Glorot-uniform weights (Glorot & Bengio 2010), zero biases."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
