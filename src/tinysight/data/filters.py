"""Luma and Gaussian blur of image batches, (n, channels, height, width)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RED, GREEN, BLUE = 0.299, 0.587, 0.114  # luma weights of ITU-R BT.601


def luma(images: Tensor) -> Tensor:
    """Return the luma, (n, 1, height, width), of RGB images, in the units of the images."""
    return RED * images[:, 0:1] + GREEN * images[:, 1:2] + BLUE * images[:, 2:3]


def gaussian_weights(offsets: Tensor, sigma: float) -> Tensor:
    """Return the weights of a Gaussian of standard deviation `sigma` at `offsets` in pixels; 1 at offset 0."""
    return torch.exp(-(offsets**2) / (2 * sigma**2))


def gaussian_kernel(sigma: float, reach: int) -> Tensor:
    """Return a Gaussian kernel, (2 * reach + 1,) squared, that sums to 1."""
    line = gaussian_weights(torch.arange(-reach, reach + 1.0), sigma)
    kernel = line[:, None] * line[None, :]
    return kernel / kernel.sum()


def gaussian_blur(images: Tensor, sigma: float, reach: int) -> Tensor:
    """Blur every channel with a Gaussian cut off at `reach` pixels, which is less than height and width.

    Rows and columns are convolved one after the other, which is faster than `convolve` where `reach` is large.
    """
    line = gaussian_weights(torch.arange(-reach, reach + 1.0), sigma)
    line /= line.sum()
    channels = images.flatten(0, 1).unsqueeze(1)
    padded = F.pad(channels, (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1)).view_as(images)


def convolve(images: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every channel with a square kernel of odd side; borders are reflected without repeating the edge."""
    reach = len(kernel) // 2
    channels = images.flatten(0, 1).unsqueeze(1)
    padded = F.pad(channels, (reach,) * 4, mode="reflect")
    return F.conv2d(padded, kernel[None, None]).view_as(images)
