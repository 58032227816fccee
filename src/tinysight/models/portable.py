"""Conversion of torch modules to standard layers, which other formats have as well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import singledispatch

from torch import Tensor, nn

from tinysight._util.errors import ModelError
from tinysight.models.layers import ByteDropout, ChannelsLastFlatten, GlobalAvgPool, GlobalMaxPool, ResidualBlock
from tinysight.models.network import Network
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer, PlainLayer

State = dict[str, Tensor]


@dataclass(frozen=True)
class PortableLayers:
    """A network in standard layers.

    Attributes:
        specs: the layer specifications, in order.
        states: the state dict of each layer that has one, in order; in a residual layer, those of the shortcut last.
    """

    specs: list[Layer] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    @classmethod
    def join(cls, parts: Iterable[PortableLayers]) -> PortableLayers:
        """Return the layers of all parts, in order."""
        listed = list(parts)
        return cls(
            [spec for part in listed for spec in part.specs], [state for part in listed for state in part.states]
        )


def stateful_modules(network: nn.Module) -> list[nn.Module]:
    """Return the modules without children that have a state, in order of registration."""
    return [module for module in network.modules() if not list(module.children()) and module.state_dict()]


@singledispatch
def portable_layers(module: nn.Module) -> PortableLayers:
    """Return the standard layers that are equivalent to a module in evaluation mode.

    A family registers the modules that only it uses.

    Raises:
        ModelError: there is no equivalent.
    """
    raise _not_portable(module)


@portable_layers.register
def _(module: nn.Sequential) -> PortableLayers:
    return PortableLayers.join(map(portable_layers, module))


@portable_layers.register
def _(module: Network) -> PortableLayers:
    return PortableLayers.join(map(portable_layers, (module.body, module.head)))


@portable_layers.register
def _(module: ResidualBlock) -> PortableLayers:
    body, shortcut = portable_layers(module.body), portable_layers(module.shortcut)
    block = layers.Residual(layers=_plain(module, body), shortcut=_plain(module, shortcut))
    return PortableLayers([block], [*body.states, *shortcut.states])


def _plain(block: nn.Module, part: PortableLayers) -> list[PlainLayer]:
    plain = [spec for spec in part.specs if not isinstance(spec, layers.Residual | layers.Graph)]
    if len(plain) < len(part.specs):
        raise _not_portable(block)
    return plain


@portable_layers.register
def _(module: nn.Conv2d) -> PortableLayers:
    (height, width), (down, right) = module.kernel_size, module.stride
    keeps_size = (down, right) == (1, 1) and module.dilation == (1, 1)
    match module.padding:
        case (0, 0) | "valid":
            padding: layers.PaddingMode = "valid"
        case "same":
            padding = "same"
        case (top, left) if keeps_size and (2 * int(top) + 1, 2 * int(left) + 1) == (height, width):
            padding = "same"
        case _:
            raise _not_portable(module)
    if module.padding_mode != "zeros":
        raise _not_portable(module)
    spec = layers.Conv2d(
        channels=module.out_channels,
        kernel=(height, width),
        stride=(down, right),
        dilation=(module.dilation[0], module.dilation[1]),
        groups=module.groups,
        padding=padding,
        bias=module.bias is not None,
    )
    return PortableLayers([spec], [module.state_dict()])


@portable_layers.register
def _(module: nn.MaxPool2d) -> PortableLayers:
    if (_pair(module.padding), _pair(module.dilation), module.ceil_mode) != ((0, 0), (1, 1), False):
        raise _not_portable(module)
    spec = layers.Pool2d(kind="max_pooling", window=_pair(module.kernel_size), stride=_pair(module.stride))
    return PortableLayers([spec])


@portable_layers.register
def _(module: nn.BatchNorm2d) -> PortableLayers:
    if not (module.affine and module.track_running_stats):
        raise _not_portable(module)
    return PortableLayers([layers.BatchNorm(epsilon=module.eps)], [module.state_dict()])


@portable_layers.register
def _(module: nn.Linear) -> PortableLayers:
    return PortableLayers(
        [layers.Dense(outputs=module.out_features, bias=module.bias is not None)], [module.state_dict()]
    )


@portable_layers.register
def _(module: ByteDropout) -> PortableLayers:
    return PortableLayers([layers.Dropout(rate=module.threshold / 256)])


@portable_layers.register(nn.ReLU)
@portable_layers.register(nn.SiLU)
@portable_layers.register(nn.Hardswish)
@portable_layers.register(nn.Hardsigmoid)
@portable_layers.register(ChannelsLastFlatten)
@portable_layers.register(GlobalMaxPool)
@portable_layers.register(GlobalAvgPool)
def _(module: nn.Module) -> PortableLayers:
    return PortableLayers([next(spec for kind, spec in _WITHOUT_SETTINGS.items() if isinstance(module, kind))])


_WITHOUT_SETTINGS: dict[type[nn.Module], Layer] = {
    nn.ReLU: layers.Activation(function="relu"),
    nn.SiLU: layers.Activation(function="silu"),
    nn.Hardswish: layers.Activation(function="hard_swish"),
    nn.Hardsigmoid: layers.Activation(function="hard_sigmoid"),
    ChannelsLastFlatten: layers.Flatten(),
    GlobalMaxPool: layers.GlobalPool2d(kind="global_max_pooling"),
    GlobalAvgPool: layers.GlobalPool2d(kind="global_average_pooling"),
}


def _pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _not_portable(module: nn.Module) -> ModelError:
    return ModelError(f"{module}: has no equivalent standard layer. Export to onnx, or use other layers.")
