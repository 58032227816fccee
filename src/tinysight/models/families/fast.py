"""The `fast` network family: whitening stem, convolution groups, global max.

The architecture follows airbench (Keller Jordan, arXiv:2404.00498) and its predecessors: David Page's "How to Train
Your ResNet" (2018) and tysam-code's hlb-CIFAR10. Two stems and free widths scale it down to two CPU cores: the cost of
training grows with the square of the widths, and a stem of stride 2 divides it by four.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysight._util.errors import RecipeError
from tinysight.models.family import Family
from tinysight.models.layers import GlobalMaxPool
from tinysight.models.network import Network
from tinysight.models.portable import PortableLayers, portable_layers
from tinysight.recipes import layers as specs
from tinysight.recipes.schema import ModelSection

STEM_GEOMETRY = {1: (2, 1), 2: (4, 2)}  # kernel size and stride, in pixels
STEM_CHANNELS = {1: 24, 2: 32}


WHITENING_PIXELS = 5000 * 32**2  # pixels to fit the whitening stem on: ample for its few dozen directions


class FastFamily(Family):
    """Networks with one group of two convolutions per entry of `model.channels`."""

    name = "fast"
    has_channels = True

    def build(self, model: ModelSection, num_classes: int, image_size: int) -> nn.Module:
        """Build a network; `initialize` sets the filters of its stem, which start at zero.

        The network also accepts images larger than `image_size`.

        Raises:
            RecipeError: the images are too small for this many groups, or the recipe needs a time budget.
        """
        if model.stem_stride is None or model.channels is None:
            raise RecipeError(
                "Recipe: it does not fix the width of the network. Set a time budget in minutes, or model.stem_stride "
                "and model.channels."
            )
        if final_resolution(model.stem_stride, len(model.channels), image_size) < 1:
            raise RecipeError(
                f"Images of {image_size}x{image_size}: too small for this network. Increase data.image_size, use "
                "stem_stride 1, or remove groups."
            )
        stem_channels = STEM_CHANNELS[model.stem_stride]
        whitening = WhiteningConv(stem_channels, *STEM_GEOMETRY[model.stem_stride])
        layers: list[nn.Module] = [whitening, nn.SiLU()]
        for inputs, outputs in pairwise([stem_channels, *model.channels]):
            layers += [_conv(inputs, outputs), nn.MaxPool2d(2), FixedScaleBatchNorm(outputs), nn.SiLU()]
            layers += [_conv(outputs, outputs), FixedScaleBatchNorm(outputs), nn.SiLU()]
        return Network(nn.Sequential(*layers, GlobalMaxPool()), ScaledLinear(model.channels[-1], num_classes))

    def initialize(self, network: nn.Module, image_size: int, sample: Callable[[int], Tensor]) -> None:
        """Fit the whitening stem on training images."""
        stem = next(module for module in network.modules() if isinstance(module, WhiteningConv))
        stem.fit(sample(WHITENING_PIXELS // image_size**2))


FAMILIES = (FastFamily(),)


class WhiteningConv(nn.Module):
    """A convolution with frozen patch-whitening filters and their negatives.

    The filters decorrelate the pixels and channels of a patch. `fit` computes them from images; they are not trained.
    """

    filters: Tensor

    def __init__(self, channels: int, size: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.register_buffer("filters", torch.zeros(channels, 3, size, size))

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Set the filters to the principal components of image patches, each divided by its standard deviation.

        Args:
            images: normalized float images, (n, 3, height, width); a few thousand are enough.
        """
        channels, patch_shape = len(self.filters), self.filters.shape[1:]
        size = patch_shape[1]
        patches = F.unfold(images, tuple(patch_shape[1:]), stride=size).transpose(1, 2).flatten(0, 1).double()
        variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (components / (variances + 5e-4).sqrt()).T.flip(0)[: channels // 2].view(-1, *patch_shape)
        self.filters.copy_(torch.cat([filters, -filters]))

    def forward(self, images: Tensor) -> Tensor:
        """Return features, (n, channels, out_height, out_width)."""
        # float32, because 2x2 bfloat16 convolutions are wrong in some versions of torch (pytorch/pytorch#163347).
        with torch.autocast(images.device.type, enabled=False):
            return F.conv2d(images.float(), self.filters, stride=self.stride)


class FixedScaleBatchNorm(nn.BatchNorm2d):
    """Batch normalization with a fixed scale of 1; the next layers can absorb any scale."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=0.4)
        self.weight.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalize each channel to mean 0 and standard deviation 1, then add its bias."""
        if images.numel() > self.num_features:
            return super().forward(images)
        # One value per channel has no variance: use the running statistics.
        return F.batch_norm(images, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class ScaledLinear(nn.Linear):
    """A linear layer without bias, initialized from N(0, 1), whose outputs are divided by the number of features."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__(features, num_classes, bias=False)
        nn.init.normal_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, (n, classes)."""
        return super().forward(features) / self.in_features


def final_resolution(stem_stride: int, groups: int, image_size: int) -> int:
    """Return the height and width of the last group's output."""
    size, stride = STEM_GEOMETRY[stem_stride]
    return ((image_size - size) // stride + 1) >> groups


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution initialized to the identity (Dirac); any extra output channels are random."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight[: min(inputs, outputs)])
    return conv


@portable_layers.register
def _(module: WhiteningConv) -> PortableLayers:
    channels, _, height, width = module.filters.shape
    spec = specs.Conv2d(channels=channels, kernel=(height, width), stride=(module.stride, module.stride), bias=False)
    return PortableLayers([spec], [{"weight": module.filters}])


@portable_layers.register
def _(module: ScaledLinear) -> PortableLayers:
    return PortableLayers(
        [specs.Dense(outputs=module.out_features, bias=False)], [{"weight": module.weight / module.in_features}]
    )
