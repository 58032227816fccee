"""The fifteen common corruptions of CIFAR-10-C, each at five severities.

Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations"
(ICLR 2019). The constants are those of CIFAR-10-C; the operations work on batches. Snow, frost, fog and glass blur
resemble the published images but do not match them pixel by pixel.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tinysight.data.filters import convolve, gaussian_blur, gaussian_kernel, gaussian_weights, luma


def translate(images: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Return each image translated by its own offset in pixels, (n,) or (n, height, width), with reflected borders."""
    return warp(images, -dx.view(len(images), -1), -dy.view(len(images), -1))


def zoom(images: Tensor, factor: float) -> Tensor:
    """Return images magnified by `factor` around the center and cropped to their size."""
    grid = _base_grid(images) / factor
    return F.grid_sample(images, grid.expand(len(images), -1, -1, -1), padding_mode="border", align_corners=False)


def warp(images: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Return images sampled at offsets in pixels, (n, height * width) or (n, 1), to the right and down."""
    n, _, height, width = images.shape
    offsets = torch.stack([dx.expand(n, height * width) * 2 / width, dy.expand(n, height * width) * 2 / height], 2)
    grid = _base_grid(images) + offsets.view(n, height, width, 2)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _base_grid(images: Tensor) -> Tensor:
    """Return the coordinates (x, y) of the pixel centers, (1, height, width, 2); edges are at -1 and 1."""
    height, width = images.shape[2:]
    x = (torch.arange(width) + 0.5) * 2 / width - 1
    y = (torch.arange(height) + 0.5) * 2 / height - 1
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=2).unsqueeze(0)


REFERENCE_SIZE = 32  # image side in pixels that the constants are for


def defocus_blur(images: Tensor, radius: float, sigma: float) -> Tensor:
    """Convolve with a disk whose edge is blurred by a Gaussian of standard deviation `sigma`."""
    radius, sigma = (length * _size_factor(images) for length in (radius, sigma))
    offsets = torch.arange(-math.ceil(radius), math.ceil(radius) + 1.0)
    disk = (torch.hypot(offsets[:, None], offsets[None, :]) <= radius).float()
    return convolve(convolve(images, disk / disk.sum()), _gaussian(sigma))


def glass_blur(images: Tensor, sigma: float, max_offset: int, iterations: int, generator: torch.Generator) -> Tensor:
    """Blur, replace every pixel by a random one within `max_offset` pixels, `iterations` times, and blur again.

    Offsets are -max_offset to max_offset - 1, as in CIFAR-10-C.
    """
    sigma, max_offset = sigma * _size_factor(images), max(1, round(max_offset * _size_factor(images)))
    images = convolve(images, _gaussian(sigma))
    for _ in range(iterations):
        images = _shuffle_pixels(images, max_offset, generator)
    return convolve(images, _gaussian(sigma))


def motion_blur(images: Tensor, length: float, sigma: float, generator: torch.Generator) -> Tensor:
    """Blur each image along a random direction within 45 degrees of the horizontal."""
    angles = (torch.rand(len(images), generator=generator) * 2 - 1) * math.pi / 4
    return directional_blur(images, angles, length, sigma)


def directional_blur(images: Tensor, angles: Tensor, length: float, sigma: float) -> Tensor:
    """Average copies of each image, translated by 0 to `length` pixels along its angle, with Gaussian weights.

    The angles, (n,), are in radians.
    """
    length, sigma = length * _size_factor(images), sigma * _size_factor(images)
    steps = torch.arange(math.ceil(length) + 1.0)
    weights = gaussian_weights(steps, sigma)
    total = torch.zeros_like(images)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        total += weight * translate(images, step * angles.cos(), step * angles.sin())
    return total


def zoom_blur(images: Tensor, factors: Sequence[float]) -> Tensor:
    """Average each image with copies that are magnified by each factor."""
    return torch.stack([images, *(zoom(images, factor) for factor in factors)]).mean(0)


def _size_factor(images: Tensor) -> float:
    return images.shape[-1] / REFERENCE_SIZE


def _gaussian(sigma: float) -> Tensor:
    return gaussian_kernel(sigma, max(1, math.ceil(3 * sigma)))


def _shuffle_pixels(images: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Return images in which each pixel is replaced by one at a random offset, -reach to reach - 1 per axis."""
    n, channels, height, width = images.shape
    down, right = torch.randint(-reach, reach, (2, n, height, width), generator=generator)
    rows = (torch.arange(height)[:, None] + down).clamp(0, height - 1)
    columns = (torch.arange(width) + right).clamp(0, width - 1)
    index = (rows * width + columns).flatten(1).unsqueeze(1).expand(-1, channels, -1)
    return images.flatten(2).gather(2, index).view_as(images)


def gaussian_noise(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Add normal noise of standard deviation `sigma` to every value."""
    return images + sigma * torch.randn(images.shape, generator=generator)


def shot_noise(images: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    """Replace every value by a Poisson count of photons; white has a mean of `photons`."""
    return torch.poisson(images * photons, generator=generator) / photons


def impulse_noise(images: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Set the given fraction of all values to 0 or 1 with equal probability (salt-and-pepper noise)."""
    uniform = torch.rand(images.shape, generator=generator)
    return torch.where(uniform < fraction, (uniform < fraction / 2).float(), images)


def brightness(images: Tensor, amount: float) -> Tensor:
    """Add `amount` to the value of every pixel in HSV; keep hue and saturation."""
    value = images.amax(1, keepdim=True)
    raised = (value + amount).clamp(0, 1)
    return torch.where(value > 0, images * raised / value.clamp_min(1e-6), raised)


def contrast(images: Tensor, factor: float) -> Tensor:
    """Scale the deviation of every channel from its mean by `factor`."""
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * factor + mean


def elastic_transform(images: Tensor, strength: float, sigma: float, skew: float, generator: torch.Generator) -> Tensor:
    """Apply a random affine transform and a smooth random displacement field to each image.

    All lengths are fractions of the image side.

    Args:
        images: float, (n, 3, height, width).
        strength: scale of the displacement field, which is uniform in -1..1 before smoothing.
        sigma: standard deviation of the Gaussian that smooths the field.
        skew: maximum displacement of three corners by the affine transform.
        generator: random number generator.
    """
    n, _, height, width = images.shape
    dx, dy = _affine_offsets(n, height, width, skew * width, generator)
    if strength:
        field = torch.rand(2, n, height, width, generator=generator) * 2 - 1
        reach = max(1, min(round(3 * sigma * width), height - 1, width - 1))
        dx, dy = (
            offset + strength * width * gaussian_blur(component[:, None], sigma * width, reach).flatten(1)
            for offset, component in zip((dx, dy), field, strict=True)
        )
    return warp(images, dx, dy)


def pixelate(images: Tensor, fraction: float) -> Tensor:
    """Shrink to `fraction` of the rows and columns with a box filter, and enlarge again."""
    height, width = images.shape[2:]
    rows, columns = (
        _box_filter(height, max(1, int(height * fraction))),
        _box_filter(width, max(1, int(width * fraction))),
    )
    small = rows @ images @ columns.T
    return F.interpolate(small, (height, width), mode="nearest-exact")


def _box_filter(length: int, bins: int) -> Tensor:
    """Return the weights, (bins, length), that average the pixels of a line whose centers lie in each bin."""
    edges, centers = torch.arange(bins + 1) * (length / bins), torch.arange(length) + 0.5
    inside = ((centers > edges[:-1, None]) & (centers <= edges[1:, None])).float()
    return inside / inside.sum(1, keepdim=True)


def jpeg_compression(images: Tensor, quality: int) -> Tensor:
    """Compress every image as a JPEG of the given quality, 1..100, and decompress it."""
    arrays = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    decoded = np.stack([_compress(Image.fromarray(array), quality) for array in arrays])
    return torch.from_numpy(decoded).permute(0, 3, 1, 2).float() / 255


def _compress(image: Image.Image, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def _affine_offsets(
    n: int, height: int, width: int, max_offset: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the x and y sampling offsets, (n, height * width), of random affine transforms."""
    top_left, top_right, bottom_left = (torch.rand(3, n, 2, 1, generator=generator) * 2 - 1) * max_offset
    x = ((torch.arange(width) + 0.5) / width).expand(height, width).flatten()
    y = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width).flatten()
    offsets = top_left + (top_right - top_left) * x + (bottom_left - top_left) * y  # (n, 2, height * width)
    return offsets[:, 0], offsets[:, 1]


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


SEVERITIES = (1, 2, 3, 4, 5)

CorruptionFunction = Callable[..., Tensor]


@dataclass(frozen=True)
class Corruption:
    """An image corruption with five severities.

    Attributes:
        function: the function that corrupts a batch.
        constants: its arguments after the images, for each severity.
        is_random: whether it is random and takes a generator.
    """

    function: CorruptionFunction
    constants: tuple[tuple[Any, ...], ...]
    is_random: bool

    @property
    def description(self) -> str:
        """The first line of the docstring of the function."""
        return (self.function.__doc__ or "").split("\n")[0]

    def apply(self, images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Return corrupted images, (n, 3, height, width), 0..1; the severity is 1..5."""
        change = partial(self.function, images, *self.constants[severity - 1])
        return (change(generator=generator) if self.is_random else change()).clamp(0, 1)


def _zoom_factors(max_factor: float) -> tuple[float, ...]:
    return tuple(1 + step / 100 for step in range(round(100 * (max_factor - 1)) + 1))


CORRUPTIONS = {
    "gaussian noise": Corruption(gaussian_noise, ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,)), is_random=True),
    "shot noise": Corruption(shot_noise, ((500,), (250,), (100,), (75,), (50,)), is_random=True),
    "impulse noise": Corruption(impulse_noise, ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)), is_random=True),
    "defocus blur": Corruption(
        defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)), is_random=False
    ),
    "glass blur": Corruption(
        glass_blur, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)), is_random=True
    ),
    "motion blur": Corruption(motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)), is_random=True),
    "zoom blur": Corruption(
        zoom_blur, tuple((_zoom_factors(m),) for m in (1.05, 1.1, 1.15, 1.2, 1.25)), is_random=False
    ),
    "snow": Corruption(
        snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        is_random=True,
    ),
    "frost": Corruption(frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)), is_random=True),
    "fog": Corruption(fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)), is_random=True),
    "brightness": Corruption(brightness, ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)), is_random=False),
    "contrast": Corruption(contrast, ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)), is_random=False),
    "elastic transform": Corruption(
        elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        is_random=True,
    ),
    "pixelate": Corruption(pixelate, ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)), is_random=False),
    "JPEG compression": Corruption(jpeg_compression, ((80,), (65,), (58,), (50,), (40,)), is_random=False),
}
