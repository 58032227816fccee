"""Layer schema for networks defined layer by layer, such as models imported from Keras.

`models.sequential` builds the network. Pairs are (height, width). Defaults are those of Keras.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=65_536)]
Pair = tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]]
Edge = Annotated[int, Field(ge=0, le=64)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Padding = Literal["valid", "same"]
Nonlinearity = Literal["relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "tanh"]


class LayerSection(BaseModel):
    """Base class of the layers."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Convolution(LayerSection):
    """2D convolution, optionally grouped."""

    kind: Literal["convolution"] = "convolution"
    channels: Count
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = "valid"
    groups: Count = 1
    bias: bool = True


class Depthwise(LayerSection):
    """Depthwise 2D convolution with `multiplier` filters per channel."""

    kind: Literal["depthwise"] = "depthwise"
    multiplier: Count = 1
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = "valid"
    bias: bool = True


class Pooling(LayerSection):
    """2D max or average pooling. The average excludes padding."""

    kind: Literal["max_pooling", "average_pooling"]
    window: Pair
    stride: Pair
    padding: Padding = "valid"


class GlobalPooling(LayerSection):
    """Global max or average pooling per channel."""

    kind: Literal["global_max_pooling", "global_average_pooling"]


class Normalising(LayerSection):
    """Batch normalization per channel: (x - mean) / sqrt(variance + epsilon) * scale + shift."""

    kind: Literal["batch_normalisation"] = "batch_normalisation"
    epsilon: float = Field(0.001, gt=0, le=1)
    scale: bool = True
    shift: bool = True


class Dropping(LayerSection):
    """Dropout with probability `rate`."""

    kind: Literal["dropout"] = "dropout"
    share: float = Field(0.5, ge=0, lt=1)


class Flattening(LayerSection):
    """Flatten in the order (height, width, channels)."""

    kind: Literal["flatten"] = "flatten"


class Dense(LayerSection):
    """Fully connected layer."""

    kind: Literal["dense"] = "dense"
    outputs: Count
    bias: bool = True


class Activation(LayerSection):
    """Elementwise activation. `slope` applies to leaky_relu and elu; `max_value` caps relu."""

    kind: Literal["activation"] = "activation"
    function: Nonlinearity
    slope: Number = 1.0
    most: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class ZeroPadding(LayerSection):
    """Zero padding of rows and columns."""

    kind: Literal["zero_padding"] = "zero_padding"
    top: Edge
    bottom: Edge
    left: Edge
    right: Edge


class Rescaling(LayerSection):
    """x * scale + offset, with one value for all channels or one per channel."""

    kind: Literal["rescaling"] = "rescaling"
    scale: Number | tuple[Number, Number, Number]
    offset: Number | tuple[Number, Number, Number] = 0.0


Layer = Annotated[
    Convolution
    | Depthwise
    | Pooling
    | GlobalPooling
    | Normalising
    | Dropping
    | Flattening
    | Dense
    | Activation
    | ZeroPadding
    | Rescaling,
    Field(discriminator="kind"),
]
