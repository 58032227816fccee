"""The layers of a network that is written down layer by layer, as one that was brought along from Keras is.

Data alone: `models.sequential` builds the network. Shapes are (height, width); what is not said has Keras' meaning.
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
    """One layer."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Convolution(LayerSection):
    """Filters over all channels, or over those of one group."""

    kind: Literal["convolution"] = "convolution"
    channels: Count
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = "valid"
    groups: Count = 1
    bias: bool = True


class Depthwise(LayerSection):
    """`multiplier` filters over each channel alone."""

    kind: Literal["depthwise"] = "depthwise"
    multiplier: Count = 1
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = "valid"
    bias: bool = True


class Pooling(LayerSection):
    """The maximum or the mean of every window; the mean of a window leaves out what was padded."""

    kind: Literal["max_pooling", "average_pooling"]
    window: Pair
    stride: Pair
    padding: Padding = "valid"


class GlobalPooling(LayerSection):
    """The maximum or the mean of every channel over all places."""

    kind: Literal["global_max_pooling", "global_average_pooling"]


class Normalising(LayerSection):
    """Batch normalisation of every channel: (x - mean) / sqrt(variance + epsilon) * scale + shift."""

    kind: Literal["batch_normalisation"] = "batch_normalisation"
    epsilon: float = Field(0.001, gt=0, le=1)
    scale: bool = True
    shift: bool = True


class Dropping(LayerSection):
    """Dropout of a share of the activations."""

    kind: Literal["dropout"] = "dropout"
    share: float = Field(0.5, ge=0, lt=1)


class Flattening(LayerSection):
    """(height, width, channels) into one row, in this order."""

    kind: Literal["flatten"] = "flatten"


class Dense(LayerSection):
    """Every output from every input."""

    kind: Literal["dense"] = "dense"
    outputs: Count
    bias: bool = True


class Activation(LayerSection):
    """A function of every number; `slope` is for leaky_relu and elu, `most` caps relu."""

    kind: Literal["activation"] = "activation"
    function: Nonlinearity
    slope: Number = 1.0
    most: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class ZeroPadding(LayerSection):
    """Rows and columns of zeros around."""

    kind: Literal["zero_padding"] = "zero_padding"
    top: Edge
    bottom: Edge
    left: Edge
    right: Edge


class Rescaling(LayerSection):
    """x * scale + offset, alike for all channels or each with its own."""

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
