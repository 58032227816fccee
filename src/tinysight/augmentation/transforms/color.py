"""Brightness, contrast and saturation jitter.

Each function blends the image with a degenerate version of it: black, the mean gray, or the gray image. A factor of 1
returns the image, 0 the degenerate version, and more than 1 extrapolates (Haeberli & Voorhies, "Image Processing by
Interpolation and Extrapolation", 1994). Images are float, (n, 3, height, width), RGB, 0..255. Factors are float,
(n,), 0 or more. The result is a new tensor of the same shape, clamped to 0..255.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field

from tinysight.augmentation.transform import Transform

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class _ColorJitter(Transform):
    """A transform by a random factor per image, around 1. The class is named after its only field."""

    @property
    def strength(self) -> float:
        """How far the factor is from 1 at most, 0..1."""
        strength: float = getattr(self, type(self).__name__.lower())
        return strength

    @property
    def is_active(self) -> bool:
        """Whether the factors differ from 1."""
        return self.strength > 0

    def describe(self) -> str:
        """Return the active settings in a few words."""
        return f"{type(self).__name__.lower()} ±{self.strength:g}" if self.strength else ""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Adjust each image by its own random factor."""
        return self.adjust(images, sample_color_factors(len(images), self.strength, generator))

    @staticmethod
    @abstractmethod
    def adjust(images: Tensor, factors: Tensor) -> Tensor:
        """Return the images adjusted by `factors`, float (n,)."""


class Brightness(_ColorJitter):
    """Random brightness."""

    order = 20

    brightness: float = Field(0.0, ge=0, le=1, description="b scales the pixels by a factor from 1-b to 1+b, 0 to 1.")

    @staticmethod
    def adjust(images: Tensor, factors: Tensor) -> Tensor:
        """Blend with black: multiply the pixels."""
        return (images * _per_image(factors, images)).clamp(0, 255)


class Contrast(_ColorJitter):
    """Random contrast."""

    order = 30

    contrast: float = Field(0.0, ge=0, le=1, description="c scales the contrast by a factor from 1-c to 1+c, 0 to 1.")

    @staticmethod
    def adjust(images: Tensor, factors: Tensor) -> Tensor:
        """Blend with the mean gray level of the image."""
        from tinysight.data.filters import luma

        return _blend(luma(images).mean(dim=(2, 3), keepdim=True), images, factors)


class Saturation(_ColorJitter):
    """Random saturation."""

    order = 40

    saturation: float = Field(
        0.0, ge=0, le=1, description="s scales the saturation by a factor from 1-s to 1+s, 0 to 1."
    )

    @staticmethod
    def adjust(images: Tensor, factors: Tensor) -> Tensor:
        """Blend with the gray image."""
        from tinysight.data.filters import luma

        return _blend(luma(images), images, factors)


def sample_color_factors(n: int, strength: float, generator: torch.Generator) -> Tensor:
    """Draw `n` factors uniformly from 1 - `strength` to 1 + `strength`; float, (n,)."""
    import torch

    uniform = torch.rand(n, generator=generator, device=generator.device)
    return 1 + strength * (2 * uniform - 1)


def _blend(degenerate: Tensor, images: Tensor, factors: Tensor) -> Tensor:
    return degenerate.expand_as(images).lerp(images, _per_image(factors, images)).clamp(0, 255)


def _per_image(factors: Tensor, images: Tensor) -> Tensor:
    return factors.to(images.device).view(-1, 1, 1, 1)
