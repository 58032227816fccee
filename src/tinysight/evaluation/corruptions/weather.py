"""What the weather does: snow, frost and fog, made up for every image anew.

All take float images, (n, 3, height, width), 0..1, and return new ones, which may leave that range.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysight.evaluation.corruptions.blur import smeared
from tinysight.evaluation.corruptions.moving import scaled

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, in what the eye takes for brightness (ITU-R BT.601)
ICE = (0.75, 0.88, 1.0)  # red, green and blue of frost


def fog(images: Tensor, density: float, decay: float, generator: torch.Generator) -> Tensor:
    """Lay a cloud over each image; the larger `decay`, the smoother it is."""
    brightest = images.amax((1, 2, 3), keepdim=True)
    return (images + density * cloud(images, decay, generator)) * brightest / (brightest + density)


def frost(images: Tensor, kept: float, ice: float, generator: torch.Generator) -> Tensor:
    """Look through a pane: `kept` of the image, and `ice` of crystals along the veins of a cloud.

    The published set lays photographs of frosted panes over the images, which nobody may redistribute.
    """
    clouds = cloud(images, 1.6, generator)
    veins = (1 - 4 * (clouds - clouds.mean((2, 3), keepdim=True)).abs()).clamp(0, 1) ** 2
    return kept * images + ice * (0.35 + 0.65 * veins) * torch.tensor(ICE).view(3, 1, 1)


def snow(
    images: Tensor,
    level: float,
    variety: float,
    flake: float,
    threshold: float,
    length: float,
    deviation: float,
    kept: float,
    generator: torch.Generator,
) -> Tensor:
    """Let flakes fall in a direction of each image's own, and bleach what is seen between them.

    Args:
        images: as for all.
        level: mean of the noise that flakes are made from.
        variety: its standard deviation.
        flake: by how much it is magnified.
        threshold: below which it is no flake.
        length: pixels that flakes are smeared over as they fall.
        deviation: how quickly that fades.
        kept: share of the image's own colours.
        generator: to draw from.
    """
    n, _, height, width = images.shape
    noise = level + variety * torch.randn(n, 1, height, width, generator=generator)
    flakes = scaled(noise, flake)
    flakes = torch.where(flakes < threshold, 0.0, flakes).clamp(0, 1)
    angles = math.pi / 4 + torch.rand(n, generator=generator) * math.pi / 2  # downwards, more or less
    flakes = smeared(flakes, angles, length, deviation)
    grey = (images * torch.tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
    bleached = kept * images + (1 - kept) * torch.maximum(images, 1.5 * grey + 0.5)
    return bleached + flakes + flakes.flip((2, 3))


def cloud(images: Tensor, decay: float, generator: torch.Generator) -> Tensor:
    """Return (n, 1, height, width), 0..1: random patches of all sizes, `decay` times fainter with every halving.

    The sum of octaves has the look of the diamond-square algorithm (Fournier, Fussell and Carpenter, 1982).
    """
    n, _, height, width = images.shape
    total = torch.zeros(n, 1, height, width)
    for octave in range(1, math.ceil(math.log2(max(height, width))) + 1):
        patches = torch.rand(n, 1, 2**octave, 2**octave, generator=generator)
        total += F.interpolate(patches, (height, width), mode="bilinear") / decay**octave
    lowest, highest = total.amin((2, 3), keepdim=True), total.amax((2, 3), keepdim=True)
    return (total - lowest) / (highest - lowest)
