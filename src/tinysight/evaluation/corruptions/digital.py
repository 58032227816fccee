"""What happens to pictures later: too bright, too pale, stretched, in coarse pixels, compressed.

All take float images, (n, 3, height, width), 0..1, and return new ones, which may leave that range.
"""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tinysight.evaluation.corruptions.moving import bent


def brightness(images: Tensor, more: float) -> Tensor:
    """Raise the value of every pixel, as in hue, saturation and value, and leave its hue and saturation."""
    value = images.amax(1, keepdim=True)
    raised = (value + more).clamp(0, 1)
    return torch.where(value > 0, images * raised / value.clamp_min(1e-6), raised)


def contrast(images: Tensor, factor: float) -> Tensor:
    """Draw every channel towards its mean."""
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * factor + mean


def elastic_transform(
    images: Tensor, strength: float, smoothness: float, skew: float, generator: torch.Generator
) -> Tensor:
    """Move three corners of each image at random, and every pixel a little, close ones alike.

    Lengths are shares of the image's side: `strength` of the smoothed field, before smoothing -1..1; `smoothness` its
    Gaussian's deviation; `skew` how far a corner moves at most.
    """
    n, _, height, width = images.shape
    across, down = _skewed(n, height, width, skew * width, generator)
    if strength:
        field = torch.rand(2, n, height, width, generator=generator) * 2 - 1
        across, down = (
            plain + strength * width * _smooth(part, smoothness * width).flatten(1)
            for plain, part in zip((across, down), field, strict=True)
        )
    return bent(images, across, down)


def pixelate(images: Tensor, share: float) -> Tensor:
    """Take `share` of the rows and columns, each the mean of what falls into it, and magnify them again."""
    height, width = images.shape[2:]
    small = _means(height, max(1, int(height * share))) @ images @ _means(width, max(1, int(width * share))).T
    return F.interpolate(small, (height, width), mode="nearest-exact")


def _means(length: int, parts: int) -> Tensor:
    """Return (parts, length): what each pixel of a line adds to each part: those whose middle lies in it, alike."""
    edges, middles = torch.arange(parts + 1) * (length / parts), torch.arange(length) + 0.5
    inside = ((middles > edges[:-1, None]) & (middles <= edges[1:, None])).float()
    return inside / inside.sum(1, keepdim=True)


def jpeg_compression(images: Tensor, quality: int) -> Tensor:
    """Save every image as JPEG of a quality, 1..100, and read it again."""
    pictures = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    decoded = np.stack([_compressed(Image.fromarray(picture), quality) for picture in pictures])
    return torch.from_numpy(decoded).permute(0, 3, 1, 2).float() / 255


def _compressed(picture: Image.Image, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def _skewed(n: int, height: int, width: int, reach: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return how far to the right and down each pixel is read, (n, height * width), where three corners are moved."""
    top_left, top_right, bottom_left = (torch.rand(3, n, 2, 1, generator=generator) * 2 - 1) * reach
    x = ((torch.arange(width) + 0.5) / width).expand(height, width).flatten()
    y = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width).flatten()
    offsets = top_left + (top_right - top_left) * x + (bottom_left - top_left) * y  # (n, 2, height * width)
    return offsets[:, 0], offsets[:, 1]


def _smooth(field: Tensor, deviation: float) -> Tensor:
    """Return the field, (n, height, width), blurred by a Gaussian."""
    reach = max(1, min(round(3 * deviation), field.shape[1] - 1, field.shape[2] - 1))
    line = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * deviation**2))
    line /= line.sum()
    padded = F.pad(field.unsqueeze(1), (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1)).squeeze(1)
