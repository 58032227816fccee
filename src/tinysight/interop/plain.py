"""Any classifier as a network of plain layers, normalisation and temperature included: what other programs can hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor, nn

from tinysight.models.classifier import Classifier
from tinysight.models.fast import Head, Maximum, Norm, Whitening
from tinysight.models.layers import Dropout, Flatten
from tinysight.models.sequential import sequential
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer


@dataclass(frozen=True)
class Plain:
    """A classifier in plain layers.

    Attributes:
        layers: in their order, the first of which takes pixels of 0..255.
        network: built from them, from float images (n, 3, height, width) to logits whose softmax is the answer.
        class_names: in the order of the logits.
        image_size: height and width of the images, pixels.
    """

    layers: list[Layer]
    network: nn.Sequential
    class_names: tuple[str, ...]
    image_size: int


@torch.no_grad()
def plain(classifier: Classifier) -> Plain:
    """Return a classifier in plain layers; it answers as the classifier does without test-time augmentation."""
    described = classifier.model.layers or [layer_of(module) for module in classifier.network]
    std, mean = classifier.normalisation.std, classifier.normalisation.mean
    scale = tuple(1 / one for one in std)
    offset = tuple(-one / other for one, other in zip(mean, std, strict=True))
    first = [layers.Rescaling(scale=scale, offset=offset)] if (scale, offset) != _AS_THEY_ARE else []
    every = [*first, *described]
    network = sequential(every, len(classifier.class_names), classifier.image_size).eval()
    weighted = [module for module in network if list(module.state_dict())]
    for ours, theirs in zip(weighted, _weighted(classifier.network), strict=True):
        ours.load_state_dict(theirs)
    last = weighted[-1]
    for parameter in last.parameters():
        parameter.div_(classifier.temperature)
    return Plain(every, network, classifier.class_names, classifier.image_size)


_AS_THEY_ARE = ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def _weighted(network: nn.Sequential) -> list[dict[str, Tensor]]:
    """Return the states of the layers that have one, as plain layers keep it."""
    states = []
    for module in network:
        match module:
            case Whitening():
                states.append({"weight": module.filters})
            case Head():
                states.append({"weight": module.weight / module.in_features})
            case _ if module.state_dict():
                states.append(module.state_dict())
    return states


@singledispatch
def layer_of(module: nn.Module) -> Layer:
    """Return the plain layer that does what a layer of ours does."""
    raise NotImplementedError(type(module).__name__)


@layer_of.register
def _(module: nn.Conv2d) -> Layer:
    (height, width), edge = module.kernel_size, module.padding[0]
    padding = "same" if edge else "valid"  # ours are padded by half their width, at stride 1, or not at all
    return layers.Convolution(
        channels=module.out_channels,
        kernel=(height, width),
        stride=module.stride,
        padding=padding,
        bias=module.bias is not None,
    )


@layer_of.register
def _(module: Whitening) -> Layer:
    channels, _, height, width = module.filters.shape
    stride = (module.stride, module.stride)
    return layers.Convolution(channels=channels, kernel=(height, width), stride=stride, bias=False)


@layer_of.register
def _(module: nn.MaxPool2d) -> Layer:
    side = module.kernel_size
    window = (side, side) if isinstance(side, int) else (side[0], side[1])
    return layers.Pooling(kind="max_pooling", window=window, stride=window)


@layer_of.register
def _(module: Maximum) -> Layer:
    return layers.GlobalPooling(kind="global_max_pooling")


@layer_of.register
def _(module: Norm) -> Layer:
    return layers.Normalising(epsilon=module.eps)


@layer_of.register
def _(module: nn.ReLU) -> Layer:
    return layers.Activation(function="relu")


@layer_of.register
def _(module: nn.SiLU) -> Layer:
    return layers.Activation(function="silu")


@layer_of.register
def _(module: Dropout) -> Layer:
    return layers.Dropping(share=module.threshold / 256)


@layer_of.register
def _(module: Flatten) -> Layer:
    return layers.Flattening()


@layer_of.register
def _(module: nn.Linear) -> Layer:
    return layers.Dense(outputs=module.out_features, bias=module.bias is not None)
