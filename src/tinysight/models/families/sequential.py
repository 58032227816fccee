"""The `layers` family: networks defined layer by layer in the recipe, with Keras semantics.

Padding, pooling and flattening follow Keras. Imported Keras models are of this family.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import singledispatch

import torch
from torch import Tensor, nn

from tinysight._util.errors import RecipeError
from tinysight.models.family import Family
from tinysight.models.layers import (
    ByteDropout,
    ChannelAffine,
    ChannelsLastFlatten,
    ChannelsLastReshape,
    GlobalAvgPool,
    GlobalMaxPool,
    LayerGraph,
    MaskedAvgPool,
    Merge,
    PadSizes,
    ResidualBlock,
)
from tinysight.models.network import Network
from tinysight.models.portable import PortableLayers, stateful_modules
from tinysight.recipes import layers
from tinysight.recipes.schema import ModelSection


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


class LayersFamily(Family):
    """Networks built from `model.layers`."""

    name = "layers"

    def build(self, model: ModelSection, num_classes: int, image_size: int) -> nn.Module:
        """Build the network of `model.layers`; see `build_sequential`."""
        return build_sequential(model.layers or [], num_classes, image_size)

    def supports(self, model: ModelSection, image_size: int) -> bool:
        """Whether the layers fit images of this height and width, in pixels."""
        try:
            with torch.device("meta"):  # shapes only, no memory
                _build_layers(model.layers or [], FeatureShape(3, image_size, image_size))
        except RecipeError:
            return False
        return True

    def to_portable(self, model: ModelSection, network: nn.Module) -> PortableLayers:
        """Return `model.layers` itself."""
        return PortableLayers(model.layers or [], [module.state_dict() for module in stateful_modules(network)])


class PublishedLayersFamily(Family):
    """A family of one architecture with published weights, as standard layers."""

    @abstractmethod
    def specs(self, num_classes: int) -> list[layers.Layer]:
        """Return the layers of a network for this number of classes. The last one is dense."""

    @abstractmethod
    def published_names(self) -> list[str]:
        """Return the name of each layer with weights but the last in the published file, in the order of `specs`."""

    def build(self, model: ModelSection, num_classes: int, image_size: int) -> nn.Module:
        """Build the network, initialized as torch does; it resizes its images if the recipe sets `model.input_size`."""
        return build_sequential(self._resizing(model, num_classes), num_classes, image_size)

    def to_portable(self, model: ModelSection, network: nn.Module) -> PortableLayers:
        """Return the layers that the network was built from."""
        modules = stateful_modules(network)
        head = [module for module in modules if isinstance(module, nn.Linear)][-1]
        return PortableLayers(self._resizing(model, head.out_features), [module.state_dict() for module in modules])

    def load_tensors(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Load the published tensors; see `Family.load_tensors`. A 1x1 convolution fits a dense layer."""
        for name, module in zip(self.published_names(), stateful_modules(network), strict=False):
            shapes = {key: tensor.shape for key, tensor in module.state_dict().items()}
            module.load_state_dict({key: tensors[f"{name}.{key}"].reshape(shape) for key, shape in shapes.items()})

    def _resizing(self, model: ModelSection, num_classes: int) -> list[layers.Layer]:
        size = model.input_size
        resize: list[layers.Layer] = [] if size is None else [layers.Resize(size=(size, size))]
        return [*resize, *self.specs(num_classes)]


FAMILIES = (LayersFamily(),)


def build_sequential(layer_specs: list[layers.Layer], num_classes: int, image_size: int) -> Network:
    """Build a network from layer specifications. Its head is the last dense layer and what follows it.

    Raises:
        RecipeError: a layer does not fit the output of the previous one, or the output is not one logit per class.
    """
    modules, shape = _build_layers(layer_specs, FeatureShape(3, image_size, image_size))
    if not shape.is_flat or shape.channels != num_classes:
        raise RecipeError(
            f"Layers: the output is {shape}, not {num_classes} logits. End in flatten or global pooling, and a dense "
            f"layer with {num_classes} outputs."
        )
    dense = [index for index, module in enumerate(modules) if isinstance(module, nn.Linear)]
    split = dense[-1] if dense else len(modules)
    return Network(nn.Sequential(*modules[:split]), nn.Sequential(*modules[split:]))


def output_size(layer_specs: list[layers.Layer], image_size: int) -> int:
    """Return the number of outputs of a network of these layers.

    Raises:
        RecipeError: a layer does not fit the output of the previous one, or the output is not flat.
    """
    with torch.device("meta"):  # shapes only, no memory
        _, shape = _build_layers(layer_specs, FeatureShape(3, image_size, image_size))
    if not shape.is_flat:
        raise RecipeError(f"Layers: the output is {shape}, not logits. End in a dense layer or in global pooling.")
    return shape.channels


def _build_layers(layer_specs: Iterable[layers.Layer], shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    """Return the modules of the layers and their output shape. Raises RecipeError if a layer does not fit."""
    modules: list[nn.Module] = []
    for number, layer in enumerate(layer_specs):
        try:
            layer_modules, shape = build_layer(layer, shape)
        except ValueError as error:
            raise RecipeError(f"Layer {number + 1} ({layer.kind}): cannot take {shape}. {error}.") from error
        except RecipeError as error:
            raise RecipeError(f"Layer {number + 1} ({layer.kind}): {error}") from error
        modules += layer_modules
    return modules, shape


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
    pad, padding = _split_padding(edges)
    conv = nn.Conv2d(
        *(shape.channels, layer.channels, layer.kernel, layer.stride, padding, layer.dilation, layer.groups),
        bias=layer.bias,
    )
    return [*pad, conv], replace(after, channels=layer.channels)


@build_layer.register
def _(layer: layers.DepthwiseConv2d, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    _require_spatial(shape)
    edges, after = _padding_and_shape(layer.kernel, layer.stride, layer.dilation, layer.padding, shape)
    channels = shape.channels * layer.multiplier
    pad, padding = _split_padding(edges)
    conv = nn.Conv2d(
        *(shape.channels, channels, layer.kernel, layer.stride, padding, layer.dilation, shape.channels),
        bias=layer.bias,
    )
    return [*pad, conv], replace(after, channels=channels)


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
    pool = GlobalMaxPool() if layer.kind == "global_max_pooling" else GlobalAvgPool()
    return [pool], FeatureShape(shape.channels, 1, 1, is_flat=True)


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
    if not shape.is_flat:  # Keras applies it to each position
        return [nn.Conv2d(shape.channels, layer.outputs, 1, bias=layer.bias)], replace(shape, channels=layer.outputs)
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
def _(layer: layers.Crop, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    _require_spatial(shape)
    height, width = shape.height - layer.top - layer.bottom, shape.width - layer.left - layer.right
    if min(height, width) < 1:
        raise ValueError("Nothing would remain")
    edges = (-layer.left, -layer.right, -layer.top, -layer.bottom)
    return [nn.ZeroPad2d(edges)], replace(shape, height=height, width=width)


@build_layer.register
def _(layer: layers.Resize, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    _require_spatial(shape)
    height, width = layer.size
    mode = "nearest-exact" if layer.interpolation == "nearest" else layer.interpolation  # pixel centers, as in Keras
    return [nn.Upsample(layer.size, mode=mode)], replace(shape, height=height, width=width)


@build_layer.register
def _(layer: layers.Rescaling, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    if shape.is_flat and (isinstance(layer.scale, tuple) or isinstance(layer.offset, tuple)):
        raise ValueError("Features take one scale and one offset")
    return [ChannelAffine(layer.scale, layer.offset)], shape


@build_layer.register
def _(layer: layers.Reshape, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    total = shape.channels * shape.height * shape.width
    given = math.prod(size for size in layer.shape if size > 0)
    height, width, channels = (total // given if size < 0 else size for size in layer.shape)
    if height * width * channels != total:
        raise ValueError(f"It has {total} values, which do not fit the shape {layer.shape}")
    return [ChannelsLastReshape(height, width, channels)], FeatureShape(channels, height, width)


@build_layer.register
def _(layer: layers.Residual, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    (body, after), (shortcut, across) = (_build_layers(part, shape) for part in (layer.layers, layer.shortcut))
    if after != across:
        raise ValueError(f"The layers return {after}, but the shortcut returns {across}")
    return [ResidualBlock(nn.Sequential(*body), nn.Sequential(*shortcut))], after


@build_layer.register
def _(layer: layers.Graph, shape: FeatureShape) -> tuple[list[nn.Module], FeatureShape]:
    shapes, modules = {layers.GRAPH_INPUT: shape}, []
    for node in layer.nodes:
        sources = [shapes[name] for name in node.inputs]
        try:
            module, shapes[node.name] = _build_node(node.layer, sources)
        except ValueError as error:
            taken = " and ".join(map(str, sources))
            raise RecipeError(f"Node {node.name} ({node.layer.kind}): cannot take {taken}. {error}.") from error
        modules.append(module)
    numbers = {name: number for number, name in enumerate(shapes)}
    return [LayerGraph(modules, [[numbers[name] for name in node.inputs] for node in layer.nodes])], shapes[node.name]


def _build_node(layer: layers.PlainLayer | layers.Merge, sources: list[FeatureShape]) -> tuple[nn.Module, FeatureShape]:
    if isinstance(layer, layers.Merge):
        return Merge(layer.kind), _merged(layer, sources)
    modules, shape = build_layer(layer, sources[0])
    return nn.Sequential(*modules), shape


def _merged(layer: layers.Merge, sources: list[FeatureShape]) -> FeatureShape:
    """Return the shape of several inputs combined. Raises ValueError if they do not fit each other."""
    if layer.kind == "concatenate":
        first = sources[0]
        if any(replace(source, channels=first.channels) != first for source in sources):
            raise ValueError("They differ in more than their channels")
        return replace(first, channels=sum(source.channels for source in sources))
    channels, height, width = (
        _broadcast([getattr(source, side) for source in sources]) for side in ("channels", "height", "width")
    )
    return FeatureShape(channels, height, width, is_flat=all(source.is_flat for source in sources))


def _broadcast(sizes: list[int]) -> int:
    different = set(sizes) - {1}
    if len(different) > 1:
        raise ValueError("Their sizes differ")
    return max(sizes)


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_swish": nn.Hardswish,
    "tanh": nn.Tanh,
}


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


def _split_padding(edges: PadSizes) -> tuple[list[nn.Module], tuple[int, int]]:
    """Return the padding as a module of its own, and the padding of a convolution.

    A convolution pads both sides equally, at no cost; only uneven padding needs a module, which copies the images.
    """
    left, right, top, bottom = edges
    return ([], (top, left)) if (left, top) == (right, bottom) else (_pad(edges), (0, 0))


def _pad(edges: PadSizes, value: float = 0.0) -> list[nn.Module]:
    return [nn.ConstantPad2d(edges, value)] if any(edges) else []
