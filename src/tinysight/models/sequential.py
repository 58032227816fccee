"""Builds networks from a recipe's list of layers, with Keras semantics.

Padding, pooling and flattening follow Keras.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import singledispatch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysight._util.errors import RecipeError
from tinysight.models.layers import ByteDropout, ChannelsLastFlatten
from tinysight.recipes import layers

PadSizes = tuple[int, int, int, int]  # left, right, top, bottom: the order of torch.nn.functional.pad


@dataclass(frozen=True)
class FeatureShape:
    """The shape of a layer's output: channels x height x width, or `channels` features once flattened."""

    channels: int
    height: int
    width: int
    is_flat: bool = False

    def __str__(self) -> str:
        return (
            f"{self.channels} features" if self.is_flat else f"{self.channels} channels of {self.height}x{self.width}"
        )


def build_sequential(layer_specs: list[layers.Layer], num_classes: int, image_size: int) -> nn.Sequential:
    """Build a network from layer specifications.

    Raises:
        RecipeError: a layer does not fit the output of the previous one, or the output is not one logit per class.
    """
    shape, modules = FeatureShape(3, image_size, image_size), []
    for number, layer in enumerate(layer_specs):
        try:
            layer_modules, shape = build_layer(layer, shape)
        except ValueError as error:
            raise RecipeError(f"Layer {number + 1} ({layer.kind}): cannot take {shape}. {error}.") from error
        modules += layer_modules
    if not shape.is_flat or shape.channels != num_classes:
        raise RecipeError(
            f"Layers: the output is {shape}, not {num_classes} logits. End in a dense layer with {num_classes} outputs."
        )
    return nn.Sequential(*modules)


@singledispatch
def build_layer(layer: layers.Layer, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    """Return the modules and output shape of a layer. Raises ValueError if `shape` does not fit the layer."""
    raise NotImplementedError(type(layer))


@build_layer.register
def _(layer: layers.Conv2d, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    _require_spatial(shape)
    if shape.channels % layer.groups or layer.channels % layer.groups:
        raise ValueError(f"The number of channels is not a multiple of {layer.groups} groups")
    edges, after = _padding_and_shape(layer.kernel, layer.stride, layer.dilation, layer.padding, shape)
    conv = nn.Conv2d(
        shape.channels, layer.channels, layer.kernel, layer.stride, 0, layer.dilation, layer.groups, bias=layer.bias
    )
    return [*_pad(edges), conv], replace(after, channels=layer.channels)


@build_layer.register
def _(layer: layers.DepthwiseConv2d, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    _require_spatial(shape)
    edges, after = _padding_and_shape(layer.kernel, layer.stride, layer.dilation, layer.padding, shape)
    channels = shape.channels * layer.multiplier
    conv = nn.Conv2d(
        shape.channels, channels, layer.kernel, layer.stride, 0, layer.dilation, shape.channels, bias=layer.bias
    )
    return [*_pad(edges), conv], replace(after, channels=channels)


@build_layer.register
def _(layer: layers.Pool2d, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    _require_spatial(shape)
    edges, after = _padding_and_shape(layer.window, layer.stride, (1, 1), layer.padding, shape)
    if layer.kind == "average_pooling":
        return [MaskedAvgPool(layer.window, layer.stride, edges)], after
    return [*_pad(edges, -math.inf), nn.MaxPool2d(layer.window, layer.stride)], after


@build_layer.register
def _(layer: layers.GlobalPool2d, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    _require_spatial(shape)
    return [GlobalPool(use_max=layer.kind == "global_max_pooling")], FeatureShape(shape.channels, 1, 1, is_flat=True)


@build_layer.register
def _(layer: layers.BatchNorm, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    kind = nn.BatchNorm1d if shape.is_flat else nn.BatchNorm2d
    return [kind(shape.channels, layer.epsilon, momentum=0.01)], shape


@build_layer.register
def _(layer: layers.Dropout, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    return [ByteDropout(layer.rate)], shape


@build_layer.register
def _(layer: layers.Flatten, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    if shape.is_flat:
        return [], shape
    return [ChannelsLastFlatten()], FeatureShape(shape.channels * shape.height * shape.width, 1, 1, is_flat=True)


@build_layer.register
def _(layer: layers.Dense, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    if not shape.is_flat:
        raise ValueError("Add flatten or global pooling before it")
    return [nn.Linear(shape.channels, layer.outputs, layer.bias)], replace(shape, channels=layer.outputs)


@build_layer.register
def _(layer: layers.Activation, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    match layer.function:
        case "relu" if layer.max_value is not None:
            return [nn.Hardtanh(0, layer.max_value)], shape
        case "leaky_relu":
            return [nn.LeakyReLU(layer.slope)], shape
        case "elu":
            return [nn.ELU(layer.slope)], shape
        case function:
            return [_ACTIVATIONS[function]()], shape


@build_layer.register
def _(layer: layers.ZeroPadding, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    _require_spatial(shape)
    edges = (layer.left, layer.right, layer.top, layer.bottom)
    height, width = shape.height + layer.top + layer.bottom, shape.width + layer.left + layer.right
    return [nn.ZeroPad2d(edges)], replace(shape, height=height, width=width)


@build_layer.register
def _(layer: layers.Rescaling, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    return [ChannelAffine(layer.scale, layer.offset)], shape


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


class MaskedAvgPool(nn.Module):
    """Average pooling that excludes the padding from the mean."""

    def __init__(self, window: tuple[int, int], stride: tuple[int, int], pad_sizes: PadSizes) -> None:
        super().__init__()
        self.window, self.stride, self.pad_sizes = window, stride, pad_sizes

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels, out_height, out_width)."""
        means = F.avg_pool2d(F.pad(images, self.pad_sizes), self.window, self.stride)
        if not any(self.pad_sizes):
            return means
        inside = F.pad(images.new_ones(1, 1, *images.shape[2:]), self.pad_sizes)
        return means / F.avg_pool2d(inside, self.window, self.stride)


class GlobalPool(nn.Module):
    """Global max or average pooling over height and width."""

    def __init__(self, use_max: bool) -> None:
        super().__init__()
        self.use_max = use_max

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels)."""
        return images.amax((2, 3)) if self.use_max else images.mean((2, 3))


class ChannelAffine(nn.Module):
    """Per-channel x * scale + offset."""

    scale: Tensor
    offset: Tensor

    def __init__(self, scale: float | tuple[float, ...], offset: float | tuple[float, ...]) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("offset", offset)):
            # Settings, not weights: on the CPU even inside torch.device("meta").
            self.register_buffer(name, torch.tensor(value, device="cpu").view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return images * self.scale + self.offset


def _require_spatial(shape: FeatureShape) -> None:
    if shape.is_flat:
        raise ValueError("The input is already flattened")


def _padding_and_shape(
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: layers.PaddingMode,
    shape: FeatureShape,
) -> tuple[PadSizes, FeatureShape]:
    """Return the padding and the output shape; `same` puts the odd pixel of padding at the end, as Keras does."""
    sizes, edges = [], []
    for side, kernel, step, rate in zip((shape.height, shape.width), window, stride, dilation, strict=True):
        extent = (kernel - 1) * rate + 1
        missing = max(0, (math.ceil(side / step) - 1) * step + extent - side) if padding == "same" else 0
        sizes.append((side + missing - extent) // step + 1)
        edges.append((missing // 2, missing - missing // 2))
    if min(sizes) < 1:
        raise ValueError("The kernel is larger than the input")
    (top, bottom), (left, right) = edges
    return (left, right, top, bottom), replace(shape, height=sizes[0], width=sizes[1])


def _pad(edges: PadSizes, value: float = 0.0) -> list[nn.Module]:
    return [nn.ConstantPad2d(edges, value)] if any(edges) else []
