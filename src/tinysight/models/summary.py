"""The table of layers that `model.summary()` prints in the notebooks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

_NAMES = {
    "Conv2d": "Conv2D",
    "Linear": "Dense",
    "MaxPool2d": "MaxPooling2D",
    "ReLU": "Activation (relu)",
}


@dataclass(frozen=True)
class Row:
    """One layer: its name in the notebooks' words, its output shape (n, height, width, channels), its parameters."""

    layer: str
    output: str
    parameters: int


def rows(network: nn.Sequential, image_size: int) -> list[Row]:
    """Return one row a layer, for images of `image_size`, the softmax included that the loss applies."""
    found = []
    network = network.eval()
    values = torch.zeros(1, 3, image_size, image_size)
    with torch.no_grad():
        for layer in network:
            values = layer(values)
            kind = type(layer).__name__
            found.append(Row(_NAMES.get(kind, kind), _shape(values), count(layer)))
    return [*found, Row("Activation (softmax)", _shape(values), 0)]


def count(network: nn.Module) -> int:
    """Return how many numbers training may change."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _shape(values: torch.Tensor) -> str:
    sizes = values.permute(0, 2, 3, 1).shape[1:] if values.dim() == 4 else values.shape[1:]
    return "(n, " + ", ".join(str(size) for size in sizes) + ")"
