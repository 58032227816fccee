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
}


@dataclass(frozen=True)
class LayerRow:
    """One layer: its Keras name, output shape (n, height, width, channels) and number of trainable parameters."""

    layer: str
    output: str
    parameters: int


def layer_table(network: nn.Sequential, image_size: int) -> list[LayerRow]:
    """Return one row per layer for images of `image_size`, plus the softmax that the loss applies."""
    table = []
    network = network.eval()
    values = torch.zeros(1, 3, image_size, image_size)
    with torch.no_grad():
        for layer in network:
            values = layer(values)
            kind = type(layer).__name__
            table.append(LayerRow(_NAMES.get(kind, kind), _shape(values), count_parameters(layer)))
    return [*table, LayerRow("Activation (softmax)", _shape(values), 0)]


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _shape(values: torch.Tensor) -> str:
    sizes = values.permute(0, 2, 3, 1).shape[1:] if values.dim() == 4 else values.shape[1:]
    return "(n, " + ", ".join(str(size) for size in sizes) + ")"
