"""The `fast` family: a frozen whitening stem, three groups of two convolutions, and the maximum over all places.

The shape is that of airbench (Keller Jordan, arXiv:2404.00498) and of the networks it goes back to: David Page's "How
to Train Your ResNet" (2018) and tysam-code's hlb-CIFAR10. Two stems and any widths make it fit for two processor cores
as well: what a training costs grows with the square of the widths, and the coarse stem quarters it.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysight.errors import RecipeError

STEMS = {"fine": (2, 1), "coarse": (4, 2)}  # height and width of the patches, and their distance, in pixels
STEM_CHANNELS = {"fine": 24, "coarse": 32}


def fast(stem: str, widths: list[int], classes: int, image_size: int) -> nn.Sequential:
    """Build a network whose groups have `widths` channels; larger images than `image_size` go through it too.

    Its stem knows nothing until `Whitening.fit` has seen images.

    Raises:
        RecipeError: nothing is left of images of this size before the last group.
    """
    if _places_left(stem, len(widths), image_size) < 1:
        raise RecipeError(
            f"Images of {image_size}x{image_size} are too small for this network; take larger ones (data.image_size), "
            "the fine stem or fewer groups."
        )
    whitening = Whitening(STEM_CHANNELS[stem], *STEMS[stem])
    layers: list[nn.Module] = [whitening, nn.SiLU()]
    for inputs, outputs in pairwise([STEM_CHANNELS[stem], *widths]):
        layers += [_conv(inputs, outputs), nn.MaxPool2d(2), Norm(outputs), nn.SiLU()]
        layers += [_conv(outputs, outputs), Norm(outputs), nn.SiLU()]
    return nn.Sequential(*layers, Maximum(), Head(widths[-1], classes))


class Whitening(nn.Module):
    """Filters that make the colours of neighbouring pixels uncorrelated, and the negatives of those filters.

    They follow from the images alone and are not trained: `fit` sets them.
    """

    filters: Tensor

    def __init__(self, channels: int, size: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.register_buffer("filters", torch.zeros(channels, 3, size, size))

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Set the filters to the main directions of the patches of `images`, each divided by its spread.

        Args:
            images: normalised, float, (n, 3, height, width); a few thousand are enough.
        """
        channels, patch = len(self.filters), self.filters.shape[1:]
        patches = F.unfold(images, tuple(patch[1:]), stride=patch[1]).transpose(1, 2).flatten(0, 1).double()
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (directions / (variances + 5e-4).sqrt()).T.flip(0)[: channels // 2].view(-1, *patch)
        self.filters.copy_(torch.cat([filters, -filters]))

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels, fewer rows, fewer columns)."""
        # In float32: bfloat16 convolutions of 2 x 2 were wrong in some versions of torch (pytorch/pytorch#163347).
        with torch.autocast(images.device.type, enabled=False):
            return F.conv2d(images.float(), self.filters, stride=self.stride)


class Norm(nn.BatchNorm2d):
    """Batch normalisation whose scale stays 1, since the convolution after it would undo another one."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=0.4)
        self.weight.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return images of mean 0 and standard deviation 1, plus the bias of each channel."""
        if images.numel() > self.num_features:
            return super().forward(images)
        # A single value a channel has no spread of its own: it is held against those of the batches before.
        return F.batch_norm(images, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Maximum(nn.Module):
    """The largest value of each channel, wherever in the image it is."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels)."""
        return images.amax((2, 3))


class Head(nn.Linear):
    """One direction a class, of unit spread; logits are divided by the number of features."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(features, classes, bias=False)
        nn.init.normal_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, (n, classes)."""
        return super().forward(features) / self.in_features


def _places_left(stem: str, groups: int, image_size: int) -> int:
    """Return height and width of what the last group hands on."""
    size, stride = STEMS[stem]
    return ((image_size - size) // stride + 1) >> groups


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution that at first hands its inputs on, and adds noise in the channels left over."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight[: min(inputs, outputs)])
    return conv
