"""Layer schema for networks defined layer by layer, such as models imported from Keras.

`models.families.sequential` builds the network. Pairs are (height, width). Defaults are those of Keras.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tinysight.recipes.catalog import MAX_LAYERS

MAX_CONNECTIONS = 4 * MAX_LAYERS  # inputs of the nodes of a graph, all together
GRAPH_INPUT = "input"

PositiveCount = Annotated[int, Field(ge=1, le=65_536)]
SizePair = tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]]
PaddingWidth = Annotated[int, Field(ge=0, le=64)]
CropWidth = Annotated[int, Field(ge=0, le=512)]
ImageSide = Annotated[int, Field(ge=1, le=512)]
Dimension = Annotated[int, Field(ge=-1, le=2**20)]
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
PaddingMode = Literal["valid", "same"]
ActivationName = Literal[
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "hard_swish",
    "sigmoid",
    "hard_sigmoid",
    "tanh",
]


class LayerSection(BaseModel):
    """Base class of the layers."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Conv2d(LayerSection):
    """2D convolution, optionally grouped."""

    kind: Literal["convolution"] = "convolution"
    channels: PositiveCount
    kernel: SizePair
    stride: SizePair = (1, 1)
    dilation: SizePair = (1, 1)
    padding: PaddingMode = "valid"
    groups: PositiveCount = 1
    bias: bool = True


class DepthwiseConv2d(LayerSection):
    """Depthwise 2D convolution with `multiplier` filters per channel."""

    kind: Literal["depthwise"] = "depthwise"
    multiplier: PositiveCount = 1
    kernel: SizePair
    stride: SizePair = (1, 1)
    dilation: SizePair = (1, 1)
    padding: PaddingMode = "valid"
    bias: bool = True


class Pool2d(LayerSection):
    """2D max or average pooling. The average excludes padding."""

    kind: Literal["max_pooling", "average_pooling"]
    window: SizePair
    stride: SizePair
    padding: PaddingMode = "valid"


class GlobalPool2d(LayerSection):
    """Global max or average pooling per channel."""

    kind: Literal["global_max_pooling", "global_average_pooling"]


class BatchNorm(LayerSection):
    """Batch normalization per channel: (x - mean) / sqrt(variance + epsilon) * scale + shift."""

    kind: Literal["batch_normalization"] = "batch_normalization"
    epsilon: float = Field(0.001, gt=0, le=1)
    scale: bool = True
    shift: bool = True


class Dropout(LayerSection):
    """Dropout with probability `rate`."""

    kind: Literal["dropout"] = "dropout"
    rate: float = Field(0.5, ge=0, lt=1)


class Flatten(LayerSection):
    """Flatten in the order (height, width, channels)."""

    kind: Literal["flatten"] = "flatten"


class Dense(LayerSection):
    """Fully connected layer; before flattening, it takes the channels of each position."""

    kind: Literal["dense"] = "dense"
    outputs: PositiveCount
    bias: bool = True


class Activation(LayerSection):
    """Elementwise activation. `slope` applies to leaky_relu and elu; `max_value` caps relu."""

    kind: Literal["activation"] = "activation"
    function: ActivationName
    slope: FiniteFloat = 1.0
    max_value: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class ZeroPadding(LayerSection):
    """Zero padding of rows and columns."""

    kind: Literal["zero_padding"] = "zero_padding"
    top: PaddingWidth
    bottom: PaddingWidth
    left: PaddingWidth
    right: PaddingWidth


class Crop(LayerSection):
    """Removal of rows and columns at the edges."""

    kind: Literal["crop"] = "crop"
    top: CropWidth
    bottom: CropWidth
    left: CropWidth
    right: CropWidth


class Resize(LayerSection):
    """Resizing to `size`, without antialiasing; pixel centers are at half-integers, as in Keras."""

    kind: Literal["resize"] = "resize"
    size: tuple[ImageSide, ImageSide]
    interpolation: Literal["bilinear", "nearest"] = "bilinear"


class Rescaling(LayerSection):
    """x * scale + offset, with one value for all channels or one per channel."""

    kind: Literal["rescaling"] = "rescaling"
    scale: FiniteFloat | tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    offset: FiniteFloat | tuple[FiniteFloat, FiniteFloat, FiniteFloat] = 0.0


class Reshape(LayerSection):
    """Reshape in the order (height, width, channels); one of `shape` may be -1, which follows from the others."""

    kind: Literal["reshape"] = "reshape"
    shape: tuple[Dimension, Dimension, Dimension]

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if 0 in self.shape or self.shape.count(-1) > 1:
            raise ValueError("shape has a 0 or more than one -1. Give at least two positive dimensions")
        return self


PlainLayer = Annotated[
    Conv2d
    | DepthwiseConv2d
    | Pool2d
    | GlobalPool2d
    | BatchNorm
    | Dropout
    | Flatten
    | Dense
    | Activation
    | ZeroPadding
    | Rescaling
    | Crop
    | Resize
    | Reshape,
    Field(discriminator="kind"),
]


class Residual(LayerSection):
    """Residual block: the sum of `layers` and `shortcut`, both applied to its input; no shortcut is the identity."""

    kind: Literal["residual"] = "residual"
    layers: list[PlainLayer] = Field(min_length=1, max_length=100)
    shortcut: list[PlainLayer] = Field([], max_length=100)


class Merge(LayerSection):
    """Elementwise combination of several inputs, or their concatenation along the channels.

    Elementwise, inputs of height or width 1 and inputs without them, which are flattened, are repeated.
    """

    kind: Literal["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate"]


class GraphNode(LayerSection):
    """A layer of a graph, its name, and the names of the nodes that it takes."""

    name: NodeName
    inputs: list[NodeName] = Field(min_length=1, max_length=100)
    layer: Annotated[PlainLayer | Merge, Field(discriminator="kind")]

    @model_validator(mode="after")
    def _check_inputs(self) -> Self:
        is_merge = isinstance(self.layer, Merge)
        if len(self.inputs) > 1 and not is_merge:
            raise ValueError(f"node {self.name} ({self.layer.kind}) has {len(self.inputs)} inputs. Give it one")
        if is_merge and self.layer.kind == "subtract" and len(self.inputs) != 2:
            raise ValueError(f"node {self.name} (subtract) has {len(self.inputs)} inputs. Give it two")
        return self


class Graph(LayerSection):
    """Layers with branches, in an order in which each follows its inputs; the last one is the output.

    The input of the graph has the name "input".
    """

    kind: Literal["graph"] = "graph"
    nodes: list[GraphNode] = Field(min_length=1, max_length=MAX_LAYERS)

    @model_validator(mode="after")
    def _check_nodes(self) -> Self:
        unused, known = {GRAPH_INPUT}, {GRAPH_INPUT}
        for node in self.nodes:
            if node.name in known:
                raise ValueError(f"two nodes have the name {node.name}. Give each node another name")
            unknown = [name for name in node.inputs if name not in known]
            if unknown:
                raise ValueError(f"node {node.name} takes {unknown[0]}, which is no node before it. Correct the name")
            known.add(node.name)
            unused = unused - set(node.inputs) | {node.name}
        if len(unused) > 1:
            raise ValueError(f"node {sorted(unused - {self.nodes[-1].name})[0]} is not used. Remove it")
        if sum(len(node.inputs) for node in self.nodes) > MAX_CONNECTIONS:
            raise ValueError(f"the nodes have more than {MAX_CONNECTIONS:,} inputs. Use fewer")
        return self


Layer = Annotated[PlainLayer | Residual | Graph, Field(discriminator="kind")]
