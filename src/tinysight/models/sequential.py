"""A network built layer by layer from what a recipe says; how Keras pads, pools and flattens."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import singledispatch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysight.errors import RecipeError
from tinysight.models.layers import Dropout, Flatten
from tinysight.recipes import layers

Edges = tuple[int, int, int, int]  # left, right, top, bottom, as torch pads


@dataclass(frozen=True)
class Shape:
    """What flows from one layer to the next: channels of height x width, or, once flattened, `channels` numbers."""

    channels: int
    height: int
    width: int
    flat: bool = False

    def __str__(self) -> str:
        return f"{self.channels} numbers" if self.flat else f"{self.channels} channels of {self.height}x{self.width}"


def sequential(description: list[layers.Layer], classes: int, image_size: int) -> nn.Sequential:
    """Build the network.

    Raises:
        RecipeError: a layer cannot take what the one before it gives, or the last one does not give a logit a class.
    """
    shape, modules = Shape(3, image_size, image_size), []
    for number, layer in enumerate(description):
        try:
            more, shape = module_for(layer, shape)
        except ValueError as error:
            raise RecipeError(f"Layer {number + 1} ({layer.kind}) cannot take {shape}: {error}.") from error
        modules += more
    if not shape.flat or shape.channels != classes:
        raise RecipeError(f"The layers end in {shape}, but there are {classes} classes: a number each is needed.")
    return nn.Sequential(*modules)


@singledispatch
def module_for(layer: layers.Layer, shape: Shape) -> tuple[list[nn.Module], Shape]:
    """Return the modules of a layer, and what they make of what comes in. Raises ValueError if they cannot take it."""
    raise NotImplementedError(type(layer))


@module_for.register
def _(layer: layers.Convolution, shape: Shape) -> tuple[list[nn.Module], Shape]:
    _require_places(shape)
    if shape.channels % layer.groups or layer.channels % layer.groups:
        raise ValueError(f"{layer.groups} groups do not divide the channels")
    edges, after = _windows(layer.kernel, layer.stride, layer.dilation, layer.padding, shape)
    conv = nn.Conv2d(
        shape.channels, layer.channels, layer.kernel, layer.stride, 0, layer.dilation, layer.groups, bias=layer.bias
    )
    return [*_padded(edges), conv], replace(after, channels=layer.channels)


@module_for.register
def _(layer: layers.Depthwise, shape: Shape) -> tuple[list[nn.Module], Shape]:
    _require_places(shape)
    edges, after = _windows(layer.kernel, layer.stride, layer.dilation, layer.padding, shape)
    channels = shape.channels * layer.multiplier
    conv = nn.Conv2d(
        shape.channels, channels, layer.kernel, layer.stride, 0, layer.dilation, shape.channels, bias=layer.bias
    )
    return [*_padded(edges), conv], replace(after, channels=channels)


@module_for.register
def _(layer: layers.Pooling, shape: Shape) -> tuple[list[nn.Module], Shape]:
    _require_places(shape)
    edges, after = _windows(layer.window, layer.stride, (1, 1), layer.padding, shape)
    if layer.kind == "average_pooling":
        return [AveragePooling(layer.window, layer.stride, edges)], after
    return [*_padded(edges, -math.inf), nn.MaxPool2d(layer.window, layer.stride)], after


@module_for.register
def _(layer: layers.GlobalPooling, shape: Shape) -> tuple[list[nn.Module], Shape]:
    _require_places(shape)
    return [GlobalPooling(maximum=layer.kind == "global_max_pooling")], Shape(shape.channels, 1, 1, flat=True)


@module_for.register
def _(layer: layers.Normalising, shape: Shape) -> tuple[list[nn.Module], Shape]:
    kind = nn.BatchNorm1d if shape.flat else nn.BatchNorm2d
    return [kind(shape.channels, layer.epsilon, momentum=0.01)], shape


@module_for.register
def _(layer: layers.Dropping, shape: Shape) -> tuple[list[nn.Module], Shape]:
    return [Dropout(layer.share)], shape


@module_for.register
def _(layer: layers.Flattening, shape: Shape) -> tuple[list[nn.Module], Shape]:
    if shape.flat:
        return [], shape
    return [Flatten()], Shape(shape.channels * shape.height * shape.width, 1, 1, flat=True)


@module_for.register
def _(layer: layers.Dense, shape: Shape) -> tuple[list[nn.Module], Shape]:
    if not shape.flat:
        raise ValueError("flatten it, or pool it globally, first")
    return [nn.Linear(shape.channels, layer.outputs, layer.bias)], replace(shape, channels=layer.outputs)


@module_for.register
def _(layer: layers.Activation, shape: Shape) -> tuple[list[nn.Module], Shape]:
    match layer.function:
        case "relu" if layer.most is not None:
            return [nn.Hardtanh(0, layer.most)], shape
        case "leaky_relu":
            return [nn.LeakyReLU(layer.slope)], shape
        case "elu":
            return [nn.ELU(layer.slope)], shape
        case function:
            return [_PLAIN[function]()], shape


@module_for.register
def _(layer: layers.ZeroPadding, shape: Shape) -> tuple[list[nn.Module], Shape]:
    _require_places(shape)
    edges = (layer.left, layer.right, layer.top, layer.bottom)
    grown = replace(shape, height=shape.height + layer.top + layer.bottom, width=shape.width + layer.left + layer.right)
    return [nn.ZeroPad2d(edges)], grown


@module_for.register
def _(layer: layers.Rescaling, shape: Shape) -> tuple[list[nn.Module], Shape]:
    return [Rescaling(layer.scale, layer.offset)], shape


_PLAIN: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


class AveragePooling(nn.Module):
    """The mean of every window, without what was padded."""

    def __init__(self, window: tuple[int, int], stride: tuple[int, int], edges: Edges) -> None:
        super().__init__()
        self.window, self.stride, self.edges = window, stride, edges

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels, fewer rows, fewer columns)."""
        means = F.avg_pool2d(F.pad(images, self.edges), self.window, self.stride)
        if not any(self.edges):
            return means
        inside = F.pad(images.new_ones(1, 1, *images.shape[2:]), self.edges)
        return means / F.avg_pool2d(inside, self.window, self.stride)


class GlobalPooling(nn.Module):
    """The maximum or the mean of every channel."""

    def __init__(self, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels)."""
        return images.amax((2, 3)) if self.maximum else images.mean((2, 3))


class Rescaling(nn.Module):
    """x * scale + offset, channel by channel."""

    scale: Tensor
    offset: Tensor

    def __init__(self, scale: float | tuple[float, ...], offset: float | tuple[float, ...]) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("offset", offset)):
            # It is a setting and no weight: there even where shapes are built without memory.
            self.register_buffer(name, torch.tensor(value, device="cpu").view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return images * self.scale + self.offset


def _require_places(shape: Shape) -> None:
    if shape.flat:
        raise ValueError("it is flattened already")


def _windows(
    window: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: layers.Padding, shape: Shape
) -> tuple[Edges, Shape]:
    """Return how much is padded where, and how many windows there are: `same` pads what is missing, more at the end."""
    sizes, edges = [], []
    for side, k, step, spread in zip((shape.height, shape.width), window, stride, dilation, strict=True):
        reach = (k - 1) * spread + 1
        missing = max(0, (math.ceil(side / step) - 1) * step + reach - side) if padding == "same" else 0
        sizes.append((side + missing - reach) // step + 1)
        edges.append((missing // 2, missing - missing // 2))
    if min(sizes) < 1:
        raise ValueError("its windows are larger than that")
    (top, bottom), (left, right) = edges
    return (left, right, top, bottom), replace(shape, height=sizes[0], width=sizes[1])


def _padded(edges: Edges, value: float = 0.0) -> list[nn.Module]:
    return [nn.ConstantPad2d(edges, value)] if any(edges) else []
