"""Mixup (Zhang et al., 2018, arXiv:1710.09412): blends of two images and of their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tinysight.augmentation.transform import LabelMixing

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Mixup(LabelMixing):
    """Blend each image with a random other one of the batch, and the labels in the same proportion.

    As in the paper's implementation, one proportion is drawn for a batch. It is from the beta distribution with both
    parameters equal to `mixup`: small values give mostly one of the images, 1 gives every proportion equally often.
    """

    order = 90

    mixup: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Blend images and labels in pairs; parameter of the beta distribution of the proportion, 0 to 10.",
    )

    @property
    def is_active(self) -> bool:
        """Whether images are blended."""
        return self.mixup > 0

    def describe(self) -> str:
        """Return the active settings in a few words."""
        return f"mixup {self.mixup:g}" if self.mixup else ""

    def mix(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Blend the images; see `LabelMixing.mix`."""
        import numpy as np
        import torch

        n, device = len(images), generator.device
        seed = int(torch.randint(2**62, (1,), generator=generator, device=device))
        weight = np.random.default_rng(seed).beta(self.mixup, self.mixup)
        others = torch.randperm(n, generator=generator, device=device).to(images.device)
        weights = torch.full((n,), weight, device=images.device)
        return images[others].lerp(images, weights.view(-1, 1, 1, 1)), others, weights
