"""The `efficientnet-b0` family: EfficientNet-B0, with weights pretrained on ImageNet.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019). The weights
and the names of their tensors are those of timm's `efficientnet_b0.ra_in1k`, which Ross Wightman trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from tinysight.models.families.sequential import PublishedLayersFamily
from tinysight.models.inverted_residual import InvertedResidual, convolution
from tinysight.models.pretrained import IMAGENET_MEAN, IMAGENET_STD, HubFile, PretrainedWeights
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer

# Table 1 of the paper: expansion, kernel, stride of the first block, channels, blocks.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_STEM_CHANNELS, _HEAD_CHANNELS = 32, 1280
_SQUEEZE = 4  # ratio of squeeze-and-excitation, of the input channels of a block


class EfficientNetB0Family(PublishedLayersFamily):
    """EfficientNet-B0: 4.0 million parameters without the head, an embedding of 1,280 features."""

    name = "efficientnet-b0"
    pretrained: ClassVar[PretrainedWeights] = PretrainedWeights(
        source=HubFile(
            repository="timm/efficientnet_b0.ra_in1k",
            revision="1b5383e5f79cc0f7fc067e372f8f26a5fa73f26a",
            sha256="d569899762ea9b1384ee07f4af64805cf8caa1c55f9253ebb1080dc40e87a2cd",
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
            *convolution(_STEM_CHANNELS, 3, "silu", stride=2),
            *(layer for _, block in _blocks() for layer in block.specs()),
            *convolution(_HEAD_CHANNELS, 1, "silu"),
            layers.GlobalPool2d(kind="global_average_pooling"),
            layers.Dense(outputs=num_classes),
        ]

    def published_names(self) -> list[str]:
        """Return the name of each layer but the last in the published file."""
        blocks = [f"{prefix}.{name}" for prefix, block in _blocks() for name in block.names()]
        return ["conv_stem", "bn1", *blocks, "conv_head", "bn2"]


FAMILIES = (EfficientNetB0Family(),)


def _blocks() -> Iterator[tuple[str, InvertedResidual]]:
    """Yield timm's name of each block, and the block."""
    inputs = _STEM_CHANNELS
    for stage, (expansion, kernel, first_stride, channels, repeats) in enumerate(_STAGES):
        for number, stride in enumerate((first_stride, *[1] * (repeats - 1))):
            yield (
                f"blocks.{stage}.{number}",
                InvertedResidual(
                    inputs=inputs,
                    expanded=expansion * inputs,
                    channels=channels,
                    kernel=kernel,
                    stride=stride,
                    activation="silu",
                    squeezed=inputs // _SQUEEZE,
                    squeeze_activation="silu",
                ),
            )
            inputs = channels
