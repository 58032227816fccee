"""The `resnet-9` family: a residual network for small images.

The architecture is that of David Page's DAWNBench entry for CIFAR-10, "How to Train Your ResNet" (2018): a stem, three
groups that halve the resolution, and residual blocks (He et al. 2016) in the first and the third. A linear layer
follows the global maximum.
"""

from __future__ import annotations

from torch import nn

from tinysight._util.errors import RecipeError
from tinysight.models.family import Family
from tinysight.models.layers import GlobalMaxPool, ResidualBlock
from tinysight.models.network import Network
from tinysight.recipes.schema import ModelSection

CHANNELS = [64, 128, 256, 512]  # of the stem and the three groups, as published: 6,573,130 parameters for 10 classes


class ResNet9Family(Family):
    """Residual networks of eight convolutions and a linear layer; `model.channels` scales them to smaller machines."""

    name = "resnet-9"
    has_channels = True

    def build(self, model: ModelSection, num_classes: int, image_size: int) -> nn.Module:
        """Build a network, initialized as torch does.

        The network also accepts images larger than `image_size`.

        Raises:
            RecipeError: the images are smaller than 16x16, or `model.channels` has not four entries.
        """
        channels = model.channels or CHANNELS
        if len(channels) != len(CHANNELS):
            raise RecipeError(
                f"model.channels: {len(channels)} entries. Give resnet-9 four: those of the stem and the three groups."
            )
        if image_size < 16:  # then the last block has 2x2 positions, and a batch of one image still has a variance
            raise RecipeError(
                f"Images of {image_size}x{image_size}: too small for this network. Increase data.image_size to 16."
            )
        stem, first, second, third = channels
        body = nn.Sequential(
            *_conv(3, stem),
            *_conv(stem, first),
            nn.MaxPool2d(2),
            _residual(first),
            *_conv(first, second),
            nn.MaxPool2d(2),
            *_conv(second, third),
            nn.MaxPool2d(2),
            _residual(third),
            GlobalMaxPool(),
        )
        return Network(body, nn.Linear(third, num_classes))


FAMILIES = (ResNet9Family(),)


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def _residual(channels: int) -> ResidualBlock:
    return ResidualBlock(nn.Sequential(*_conv(channels, channels), *_conv(channels, channels)))
