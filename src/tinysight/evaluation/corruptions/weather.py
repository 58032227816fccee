"""Snow, frost and fog, generated independently for each image.

All functions take float images, (n, 3, height, width), 0..1, and return new ones. Values may leave that range.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysight.data.filters import luma
from tinysight.evaluation.corruptions.blur import directional_blur
from tinysight.evaluation.corruptions.warp import zoom

FROST_COLOR = (0.75, 0.88, 1.0)  # RGB color of frost


def fog(images: Tensor, density: float, decay: float, generator: torch.Generator) -> Tensor:
    """Blend each image with a fractal cloud; a larger `decay` makes it smoother."""
    max_value = images.amax((1, 2, 3), keepdim=True)
    return (images + density * fractal_noise(images, decay, generator)) * max_value / (max_value + density)


def frost(images: Tensor, image_weight: float, frost_weight: float, generator: torch.Generator) -> Tensor:
    """Blend the image, scaled by `image_weight`, with fractal ice crystals, scaled by `frost_weight`.

    CIFAR-10-C overlays photographs of frost instead, whose license does not allow redistribution.
    """
    clouds = fractal_noise(images, 1.6, generator)
    veins = (1 - 4 * (clouds - clouds.mean((2, 3), keepdim=True)).abs()).clamp(0, 1) ** 2
    return image_weight * images + frost_weight * (0.35 + 0.65 * veins) * torch.tensor(FROST_COLOR).view(3, 1, 1)


def snow(
    images: Tensor,
    mean: float,
    std: float,
    zoom_factor: float,
    threshold: float,
    length: float,
    sigma: float,
    image_weight: float,
    generator: torch.Generator,
) -> Tensor:
    """Add motion-blurred snowflakes in a random direction for each image, and whiten the image.

    Args:
        images: float, (n, 3, height, width), 0..1.
        mean: mean of the noise that flakes are made from.
        std: standard deviation of the noise.
        zoom_factor: zoom factor of the noise.
        threshold: noise values below it are set to 0.
        length: length of the motion blur, pixels.
        sigma: standard deviation of the motion blur, pixels.
        image_weight: weight of the original image in the whitened image, 0..1.
        generator: random number generator.
    """
    n, _, height, width = images.shape
    noise = mean + std * torch.randn(n, 1, height, width, generator=generator)
    flakes = zoom(noise, zoom_factor)
    flakes = torch.where(flakes < threshold, 0.0, flakes).clamp(0, 1)
    angles = math.pi / 4 + torch.rand(n, generator=generator) * math.pi / 2  # within 45 degrees of straight down
    flakes = directional_blur(flakes, angles, length, sigma)
    whitened = image_weight * images + (1 - image_weight) * torch.maximum(images, 1.5 * luma(images) + 0.5)
    return whitened + flakes + flakes.flip((2, 3))


def fractal_noise(images: Tensor, decay: float, generator: torch.Generator) -> Tensor:
    """Return fractal noise, (n, 1, height, width), 0..1: a sum of octaves, each `decay` times weaker than the last.

    It resembles the output of the diamond-square algorithm (Fournier, Fussell and Carpenter, 1982).
    """
    n, _, height, width = images.shape
    total = torch.zeros(n, 1, height, width)
    for octave in range(1, math.ceil(math.log2(max(height, width))) + 1):
        patches = torch.rand(n, 1, 2**octave, 2**octave, generator=generator)
        total += F.interpolate(patches, (height, width), mode="bilinear") / decay**octave
    lowest, highest = total.amin((2, 3), keepdim=True), total.amax((2, 3), keepdim=True)
    return (total - lowest) / (highest - lowest)
