"""Portable form of a classifier: standard layers only.

Normalization and temperature become part of the layers, so that other formats can hold the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor, nn

from tinysight.models.classifier import Classifier
from tinysight.models.fast import FixedScaleBatchNorm, GlobalMaxPool, ScaledLinear, WhiteningConv
from tinysight.models.layers import ByteDropout, ChannelsLastFlatten
from tinysight.models.sequential import build_sequential
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer


@dataclass(frozen=True)
class PortableModel:
    """A classifier expressed in standard layers.

    Attributes:
        layers: layer specifications, in order; the first one takes pixels of 0..255.
        network: built from `layers`; maps float images (n, 3, height, width) to calibrated logits.
        class_names: in the order of the logits.
        image_size: height and width of the images, in pixels.
    """

    layers: list[Layer]
    network: nn.Sequential
    class_names: tuple[str, ...]
    image_size: int


@torch.no_grad()
def to_portable(classifier: Classifier) -> PortableModel:
    """Convert a classifier to standard layers; its probabilities equal the classifier's without TTA."""
    body = classifier.model.layers or [to_layer_spec(module) for module in classifier.network]
    stds, means = classifier.normalization.std, classifier.normalization.mean
    scale = tuple(1 / std for std in stds)
    offset = tuple(-mean / std for mean, std in zip(means, stds, strict=True))
    rescaling = [layers.Rescaling(scale=scale, offset=offset)] if (scale, offset) != _IDENTITY else []
    specs = [*rescaling, *body]
    network = build_sequential(specs, len(classifier.class_names), classifier.image_size).eval()
    stateful = [module for module in network if list(module.state_dict())]
    for module, state in zip(stateful, _portable_states(classifier.network), strict=True):
        module.load_state_dict(state)
    for parameter in stateful[-1].parameters():
        parameter.div_(classifier.temperature)
    return PortableModel(specs, network, classifier.class_names, classifier.image_size)


_IDENTITY = ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def _portable_states(network: nn.Sequential) -> list[dict[str, Tensor]]:
    """Return the state dict of every layer that has one, converted for the standard layer."""
    states = []
    for module in network:
        match module:
            case WhiteningConv():
                states.append({"weight": module.filters})
            case ScaledLinear():
                states.append({"weight": module.weight / module.in_features})
            case _ if module.state_dict():
                states.append(module.state_dict())
    return states


@singledispatch
def to_layer_spec(module: nn.Module) -> Layer:
    """Return the specification of the standard layer that is equivalent to a module."""
    raise NotImplementedError(type(module).__name__)


@to_layer_spec.register
def _(module: nn.Conv2d) -> Layer:
    height, width = module.kernel_size
    padding = "same" if module.padding[0] else "valid"  # padding is 0, or kernel // 2 with stride 1
    return layers.Conv2d(
        channels=module.out_channels,
        kernel=(height, width),
        stride=module.stride,
        padding=padding,
        bias=module.bias is not None,
    )


@to_layer_spec.register
def _(module: WhiteningConv) -> Layer:
    channels, _, height, width = module.filters.shape
    stride = (module.stride, module.stride)
    return layers.Conv2d(channels=channels, kernel=(height, width), stride=stride, bias=False)


@to_layer_spec.register
def _(module: nn.MaxPool2d) -> Layer:
    side = module.kernel_size
    window = (side, side) if isinstance(side, int) else (side[0], side[1])
    return layers.Pool2d(kind="max_pooling", window=window, stride=window)


@to_layer_spec.register
def _(module: GlobalMaxPool) -> Layer:
    return layers.GlobalPool2d(kind="global_max_pooling")


@to_layer_spec.register
def _(module: FixedScaleBatchNorm) -> Layer:
    return layers.BatchNorm(epsilon=module.eps)


@to_layer_spec.register
def _(module: nn.ReLU) -> Layer:
    return layers.Activation(function="relu")


@to_layer_spec.register
def _(module: nn.SiLU) -> Layer:
    return layers.Activation(function="silu")


@to_layer_spec.register
def _(module: ByteDropout) -> Layer:
    return layers.Dropout(rate=module.threshold / 256)


@to_layer_spec.register
def _(module: ChannelsLastFlatten) -> Layer:
    return layers.Flatten()


@to_layer_spec.register
def _(module: nn.Linear) -> Layer:
    return layers.Dense(outputs=module.out_features, bias=module.bias is not None)
