"""Layer schema for networks defined layer by layer, such as models imported from Keras.

`models.families.sequential` builds the network. Pairs are (height, width). Defaults are those of Keras.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveCount = Annotated[int, Field(ge=1, le=65_536)]
SizePair = tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]]
PaddingWidth = Annotated[int, Field(ge=0, le=64)]
CropWidth = Annotated[int, Field(ge=0, le=512)]
ImageSide = Annotated[int, Field(ge=1, le=512)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
PaddingMode = Literal["valid", "same"]
ActivationName = Literal["relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "tanh"]


class LayerSection(BaseModel):
    """Base class of the layers."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    """Fully connected layer."""

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
    | Resize,
    Field(discriminator="kind"),
]


class Residual(LayerSection):
    """Residual block: the sum of `layers` and `shortcut`, both applied to its input; no shortcut is the identity."""

    kind: Literal["residual"] = "residual"
    layers: list[PlainLayer] = Field(min_length=1, max_length=100)
    shortcut: list[PlainLayer] = Field([], max_length=100)


Layer = Annotated[PlainLayer | Residual, Field(discriminator="kind")]
