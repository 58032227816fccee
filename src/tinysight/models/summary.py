"""Layer table and parameter counts, like `model.summary()` in Keras."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

_NAMES = {
    "Conv2d": "Conv2D",
    "Linear": "Dense",
    "MaxPool2d": "MaxPooling2D",
    "ReLU": "Activation (relu)",
    "ByteDropout": "Dropout",
    "ChannelsLastFlatten": "Flatten",
    "ResidualBlock": "Add",
}


@dataclass(frozen=True)
class LayerRow:
    """One layer: its Keras name, output shape (n, height, width, channels) and number of trainable parameters."""

    layer: str
    output: str
    parameters: int


def layer_table(network: nn.Module, image_size: int) -> list[LayerRow]:
    """Return one row per layer in order of computation, plus the softmax that the loss applies.

    Args:
        network: any network; a module with children counts as a layer if it adds parameters or a residual sum.
        image_size: height and width of the images, in pixels.
    """
    table: list[LayerRow] = []

    def record(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        kind = type(layer).__name__
        table.append(LayerRow(_NAMES.get(kind, kind), _shape(output), count_parameters(layer, recurse=False)))

    layers = [layer for layer in network.modules() if _is_layer(layer)]
    hooks = [layer.register_forward_hook(record) for layer in layers]
    was_training = network.training
    with torch.no_grad():
        logits = network.eval()(torch.zeros(1, 3, image_size, image_size))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return [*table, LayerRow("Activation (softmax)", _shape(logits), 0)]


def _is_layer(module: nn.Module) -> bool:
    is_container = isinstance(module, nn.Sequential) or any(True for _ in module.children())
    return not is_container or type(module).__name__ in _NAMES or any(True for _ in module.parameters(recurse=False))


def count_parameters(network: nn.Module, recurse: bool = True) -> int:
    """Return the number of trainable parameters, without `recurse` those of the module itself."""
    return sum(parameter.numel() for parameter in network.parameters(recurse) if parameter.requires_grad)


def _shape(values: torch.Tensor) -> str:
    sizes = values.permute(0, 2, 3, 1).shape[1:] if values.dim() == 4 else values.shape[1:]
    return "(n, " + ", ".join(str(size) for size in sizes) + ")"
