"""The `mobilenet-v3` family: MobileNetV3-Large, with weights pretrained on ImageNet.

Source: Howard et al., "Searching for MobileNetV3" (ICCV 2019), Table 1. The weights and the names of their tensors are
those of timm's `mobilenetv3_large_100.ra_in1k`, which Ross Wightman trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from tinysight.models.families.sequential import PublishedLayersFamily
from tinysight.models.inverted_residual import InvertedResidual, convolution
from tinysight.models.pretrained import IMAGENET_MEAN, IMAGENET_STD, HubFile, PretrainedWeights
from tinysight.recipes import layers
from tinysight.recipes.layers import ActivationName, Layer

# Each stage: kernel, channels, stride of the first block, activation, whether it squeezes, and the expanded channels of
# its blocks.
_STAGES: tuple[tuple[int, int, int, ActivationName, bool, tuple[int, ...]], ...] = (
    (3, 16, 1, "relu", False, (16,)),
    (3, 24, 2, "relu", False, (64, 72)),
    (5, 40, 2, "relu", True, (72, 120, 120)),
    (3, 80, 2, "hard_swish", False, (240, 200, 184, 184)),
    (3, 112, 1, "hard_swish", True, (480, 672)),
    (5, 160, 2, "hard_swish", True, (672, 960, 960)),
)
_STEM_CHANNELS, _LAST_CHANNELS, _HEAD_CHANNELS = 16, 960, 1280


class MobileNetV3Family(PublishedLayersFamily):
    """MobileNetV3-Large: 4.2 million parameters without the head, an embedding of 1,280 features."""

    name = "mobilenet-v3"
    pretrained: ClassVar[PretrainedWeights] = PretrainedWeights(
        source=HubFile(
            repository="timm/mobilenetv3_large_100.ra_in1k",
            revision="96f46a1c52932f27492dff66c72378eb99b443a7",
            sha256="f425af34cc1cead2b5d6211f789a1f30b94835dc32f9c0fcc5a916e4fd2dde85",
        ),
        input_size=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        license="Apache-2.0",
        training_data="ImageNet (ILSVRC 2012)",
    )

    def specs(self, num_classes: int) -> list[Layer]:
        """Return the layers of a network for this number of classes."""
        return [
            *convolution(_STEM_CHANNELS, 3, "hard_swish", stride=2),
            *(layer for _, block in _blocks() for layer in block.specs()),
            *convolution(_LAST_CHANNELS, 1, "hard_swish"),
            layers.GlobalPool2d(kind="global_average_pooling"),
            layers.Dense(outputs=_HEAD_CHANNELS),
            layers.Activation(function="hard_swish"),
            layers.Dense(outputs=num_classes),
        ]

    def published_names(self) -> list[str]:
        """Return the name of each layer but the last in the published file."""
        blocks = [f"{prefix}.{name}" for prefix, block in _blocks() for name in block.names()]
        last = f"blocks.{len(_STAGES)}.0"
        return ["conv_stem", "bn1", *blocks, f"{last}.conv", f"{last}.bn1", "conv_head"]


FAMILIES = (MobileNetV3Family(),)


def _blocks() -> Iterator[tuple[str, InvertedResidual]]:
    """Yield timm's name of each block, and the block."""
    inputs = _STEM_CHANNELS
    for stage, (kernel, channels, first_stride, activation, squeezes, widths) in enumerate(_STAGES):
        for number, expanded in enumerate(widths):
            yield (
                f"blocks.{stage}.{number}",
                InvertedResidual(
                    inputs=inputs,
                    expanded=expanded,
                    channels=channels,
                    kernel=kernel,
                    stride=1 if number else first_stride,
                    activation=activation,
                    squeezed=_squeezed(expanded) if squeezes else 0,
                    gate="hard_sigmoid",
                ),
            )
            inputs = channels


def _squeezed(expanded: int) -> int:
    """Return a quarter of the channels, rounded to a multiple of 8, but not to less than 90 % of it."""
    quarter = expanded / 4
    rounded = max(8, int(quarter + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * quarter else rounded
