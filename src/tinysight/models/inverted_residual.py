"""Inverted residual blocks in standard layers, with the names that timm gives to their weights.

Sources: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018), and for
squeeze-and-excitation Hu et al., "Squeeze-and-Excitation Networks" (CVPR 2018). timm pads both sides of a convolution
equally, in contrast to TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinysight.recipes import layers
from tinysight.recipes.layers import ActivationName, GraphNode, Layer, PlainLayer

_EPSILON = 1e-5  # of batch normalization, as in torch


@dataclass(frozen=True)
class InvertedResidual:
    """An inverted residual block: expansion, depthwise convolution, squeeze-and-excitation and projection.

    Attributes:
        inputs: number of input channels.
        expanded: number of channels of the depthwise convolution. If they are the inputs, there is no expansion.
        channels: number of output channels.
        kernel: height and width of the depthwise convolution.
        stride: of the depthwise convolution.
        activation: after the expansion and the depthwise convolution.
        squeezed: number of channels between the two layers of squeeze-and-excitation; 0 leaves it out.
        squeeze_activation: between these two layers.
        gate: after them.
    """

    inputs: int
    expanded: int
    channels: int
    kernel: int
    stride: int
    activation: ActivationName
    squeezed: int = 0
    squeeze_activation: ActivationName = "relu"
    gate: ActivationName = "sigmoid"

    def specs(self) -> list[Layer]:
        """Return the block as standard layers. It has a shortcut if input and output have the same shape."""
        before = [
            *(convolution(self.expanded, 1, self.activation) if self._has_expansion else []),
            *padded(
                layers.DepthwiseConv2d(kernel=(self.kernel, self.kernel), stride=(self.stride, self.stride), bias=False)
            ),
            layers.BatchNorm(epsilon=_EPSILON),
            layers.Activation(function=self.activation),
        ]
        after = convolution(self.channels, 1)
        has_shortcut = self.stride == 1 and self.inputs == self.channels
        if self.squeezed:
            return [layers.Graph(nodes=self._nodes(before, after, has_shortcut))]
        return [layers.Residual(layers=[*before, *after])] if has_shortcut else [*before, *after]

    def names(self) -> list[str]:
        """Return timm's name of each layer with weights, in the order of `specs`."""
        squeeze = ["se.conv_reduce", "se.conv_expand"] if self.squeezed else []
        if self._has_expansion:
            return ["conv_pw", "bn1", "conv_dw", "bn2", *squeeze, "conv_pwl", "bn3"]
        return ["conv_dw", "bn1", *squeeze, "conv_pw", "bn2"]

    @property
    def _has_expansion(self) -> bool:
        return self.expanded != self.inputs

    def _nodes(self, before: list[PlainLayer], after: list[PlainLayer], has_shortcut: bool) -> list[GraphNode]:
        nodes: list[GraphNode] = []

        def add(layer: PlainLayer | layers.Merge, *sources: str) -> str:
            nodes.append(GraphNode(name=f"{len(nodes) + 1}-{layer.kind}", inputs=list(sources), layer=layer))
            return nodes[-1].name

        def chain(source: str, specs: list[PlainLayer]) -> str:
            for spec in specs:
                source = add(spec, source)
            return source

        expanded = chain(layers.GRAPH_INPUT, before)
        gated = add(layers.Merge(kind="multiply"), expanded, chain(expanded, self._excitation()))
        output = chain(gated, after)
        if has_shortcut:
            add(layers.Merge(kind="add"), output, layers.GRAPH_INPUT)
        return nodes

    def _excitation(self) -> list[PlainLayer]:
        return [
            layers.GlobalPool2d(kind="global_average_pooling"),
            layers.Dense(outputs=self.squeezed),
            layers.Activation(function=self.squeeze_activation),
            layers.Dense(outputs=self.expanded),
            layers.Activation(function=self.gate),
        ]


def convolution(
    channels: int, kernel: int, activation: ActivationName | None = None, stride: int = 1
) -> list[PlainLayer]:
    """Return a convolution without bias, batch normalization and, if one is given, an activation."""
    conv = layers.Conv2d(channels=channels, kernel=(kernel, kernel), stride=(stride, stride), bias=False)
    after = [] if activation is None else [layers.Activation(function=activation)]
    return [*padded(conv), layers.BatchNorm(epsilon=_EPSILON), *after]


def padded(conv: layers.Conv2d | layers.DepthwiseConv2d) -> list[PlainLayer]:
    """Return a convolution that pads all sides equally; `same` does so at stride 1 only."""
    if conv.stride == (1, 1):
        return [conv.model_copy(update={"padding": "same"})]
    edge = conv.kernel[0] // 2
    return [layers.ZeroPadding(top=edge, bottom=edge, left=edge, right=edge), conv]
