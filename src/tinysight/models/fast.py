"""The `fast` network family: whitening stem, convolution groups, global max.

The architecture follows airbench (Keller Jordan, arXiv:2404.00498) and its predecessors: David Page's "How to Train
Your ResNet" (2018) and tysam-code's hlb-CIFAR10. Two stems and free widths scale it down to two CPU cores: the cost of
training grows with the square of the widths, and a stem of stride 2 divides it by four.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysight._util.errors import RecipeError

STEM_GEOMETRY = {1: (2, 1), 2: (4, 2)}  # kernel size and stride, in pixels
STEM_CHANNELS = {1: 24, 2: 32}


def build_fast(stem_stride: int, channels: list[int], num_classes: int, image_size: int) -> nn.Sequential:
    """Build a network with one group of two convolutions per entry of `channels`, its number of channels.

    Call `Whitening.fit` before training: the filters of the stem start at zero. The network also accepts images larger
    than `image_size`.

    Raises:
        RecipeError: the images are too small for this many groups.
    """
    if _final_resolution(stem_stride, len(channels), image_size) < 1:
        raise RecipeError(
            f"Images of {image_size}x{image_size}: too small for this network. Increase data.image_size, use "
            "stem_stride 1, or remove groups."
        )
    whitening = WhiteningConv(STEM_CHANNELS[stem_stride], *STEM_GEOMETRY[stem_stride])
    layers: list[nn.Module] = [whitening, nn.SiLU()]
    for inputs, outputs in pairwise([STEM_CHANNELS[stem_stride], *channels]):
        layers += [_conv(inputs, outputs), nn.MaxPool2d(2), FixedScaleBatchNorm(outputs), nn.SiLU()]
        layers += [_conv(outputs, outputs), FixedScaleBatchNorm(outputs), nn.SiLU()]
    return nn.Sequential(*layers, GlobalMaxPool(), ScaledLinear(channels[-1], num_classes))


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


class GlobalMaxPool(nn.Module):
    """Global max pooling over height and width."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels)."""
        return images.amax((2, 3))


class ScaledLinear(nn.Linear):
    """A linear layer without bias, initialized from N(0, 1), whose outputs are divided by the number of features."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__(features, num_classes, bias=False)
        nn.init.normal_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, (n, classes)."""
        return super().forward(features) / self.in_features


def _final_resolution(stem_stride: int, groups: int, image_size: int) -> int:
    """Return the height and width of the last group's output."""
    size, stride = STEM_GEOMETRY[stem_stride]
    return ((image_size - size) // stride + 1) >> groups


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution initialized to the identity (Dirac); any extra output channels are random."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight[: min(inputs, outputs)])
    return conv
