"""Fusion of batch normalization into convolutions, for networks that are only evaluated."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Iterator

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tinysight.models.layers import LayerGraph

Slot = tuple[nn.Sequential, int]
"""The place of a layer: its container, and its index there."""


def fused(network: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, whose convolutions include the batch normalization that follows them.

    The results are equal up to rounding. Only layers that follow each other in an `nn.Sequential` or, without a branch
    between them, in a `LayerGraph` are fused. Activations overwrite the outputs of the layers before them, since
    nothing else reads these without gradients.
    """
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        if isinstance(module, LayerGraph):
            for run in _runs(module):
                _fuse_layers(run)
        elif isinstance(module, nn.Sequential):
            _fuse_layers(list(_slots(module)))
    return network


def _slots(layers: nn.Sequential) -> Iterator[Slot]:
    return ((layers, index) for index in range(len(layers)))


def _runs(graph: LayerGraph) -> list[list[Slot]]:
    """Return the layers of a graph that follow each other, where nothing else reads what is between them."""
    n_uses = Counter(source for sources in graph.inputs for source in sources)
    runs: dict[int, list[Slot]] = {}  # by the number of its last node
    for number, (node, sources) in enumerate(zip(graph.layers, graph.inputs, strict=True), start=1):
        if isinstance(node, nn.Sequential):  # the others are merges
            before = runs.pop(sources[0], []) if n_uses[sources[0]] == 1 else []
            runs[number] = [*before, *_slots(node)]
    return list(runs.values())


def _fuse_layers(slots: list[Slot]) -> None:
    for (first, i), (second, j) in itertools.pairwise(slots):
        convolution, norm = first[i], second[j]
        if isinstance(convolution, nn.Conv2d) and type(norm) is nn.BatchNorm2d:
            first[i], second[j] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    for before, activation in itertools.pairwise(layers[index] for layers, index in slots):
        if isinstance(before, nn.Conv2d | nn.Identity) and isinstance(activation, _OVERWRITING):
            activation.inplace = True


_OVERWRITING = (nn.ReLU, nn.SiLU, nn.Hardtanh, nn.Hardswish)
