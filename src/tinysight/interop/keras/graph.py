"""Converts Keras layers with branches to layer specifications: a chain, in which branches are one graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tinysight.recipes.layers import GRAPH_INPUT, Graph, GraphNode, Layer, Merge, PlainLayer

WITH_WEIGHTS = ("convolution", "depthwise", "dense", "batch_normalization")
_IMAGE = -1  # in place of the number of a node

Spec = PlainLayer | Merge


@dataclass(frozen=True)
class KerasLayer:
    """A call of a Keras layer and its equivalent layer specifications; a separable convolution has two.

    Attributes:
        kind: class of the layer.
        name: its name in the model.
        specs: the layer specifications.
        inputs: the numbers of the layers that it takes; empty for the image.
        model: name of the outermost model inside the model that contains it; empty if there is none.
        group: its group in a weights file of Keras 3.
        is_adapted: whether it normalizes by a mean and a variance that are in the weights file.
        is_scalar: whether these are one number each, for all channels.
    """

    kind: str
    name: str
    specs: tuple[Spec, ...]
    inputs: tuple[int, ...] = ()
    model: str = ""
    group: str = ""
    is_adapted: bool = False
    is_scalar: bool = False

    @property
    def has_weights(self) -> bool:
        """Whether a weights file has arrays of it."""
        return self.is_adapted or any(spec.kind in WITH_WEIGHTS for spec in self.specs)


@dataclass(frozen=True)
class _Node:
    """A layer specification, a name after its Keras layer, and the numbers of the nodes that it takes."""

    spec: Spec
    name: str
    inputs: tuple[int, ...]


def to_chain(layers: Sequence[KerasLayer]) -> list[Layer]:
    """Return the specifications of layers in order, each of which follows its inputs.

    All layers from the first branch to the last merge are one graph.
    """
    nodes = _nodes(layers)
    uses = Counter(number for node in nodes for number in set(node.inputs))
    is_linked = [node.inputs == (number - 1,) and uses[number - 1] == 1 for number, node in enumerate(nodes)]
    start = is_linked.index(False) if False in is_linked else len(nodes)
    end = len(nodes) - (is_linked[::-1].index(False) if False in is_linked else 0)
    middle = [_graph(nodes[start:end], start)] if start < end else []
    return [*_plain(nodes[:start]), *middle, *_plain(nodes[end:])]


def _nodes(layers: Sequence[KerasLayer]) -> list[_Node]:
    """Return one node for each specification. Layers that do nothing at prediction have none."""
    nodes: list[_Node] = []
    outputs: list[int] = []
    for layer in layers:
        inputs = tuple(outputs[number] for number in layer.inputs) or (_IMAGE,)
        for index, spec in enumerate(layer.specs):
            nodes.append(_Node(spec, f"{layer.name}_{spec.kind}" if index else layer.name or spec.kind, inputs))
            inputs = (len(nodes) - 1,)
        outputs.append(inputs[0])
    return nodes


def _plain(nodes: Sequence[_Node]) -> list[PlainLayer]:
    return [node.spec for node in nodes if not isinstance(node.spec, Merge)]


def _graph(nodes: Sequence[_Node], start: int) -> Graph:
    """Return nodes with branches, the first of which has the number `start`."""
    names = {start - 1: GRAPH_INPUT}
    for number, node in enumerate(nodes, start):
        names[number] = _unique_name(node.name, names.values())
    return Graph(
        nodes=[
            GraphNode(name=names[number], inputs=[names[source] for source in node.inputs], layer=node.spec)
            for number, node in enumerate(nodes, start)
        ]
    )


def _unique_name(name: str, taken: Collection[str]) -> str:
    """Return a name that a node may have; the names of Keras layers may have any characters, and occur again."""
    base = re.sub("[^A-Za-z0-9_-]+", "_", name).lstrip("_-")[:_NAME_LENGTH] or "layer"
    candidate, number = base, 1
    while candidate in taken:
        number += 1
        candidate = f"{base}_{number}"
    return candidate


_NAME_LENGTH = 56  # characters; a node may have 64
