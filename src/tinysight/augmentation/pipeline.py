"""Augmentation pipeline: one function that applies all transforms of a recipe."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tinysight.augmentation.config import Augmentation
from tinysight.augmentation.transform import LabelMixing

Augment = Callable[[Tensor, torch.Generator], Tensor]
MixBatch = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


def build_augmentation(config: Augmentation) -> Augment:
    """Return a function that applies the transforms of `config`, with independent random draws per image.

    The function takes images, (n, 3, height, width), uint8 or float, 0..255, and a random generator. It returns new
    float images, 0..255 up to rounding. The order is affine map and flip, crop, color, cutout. The same images and
    generator state give the same result. The generator may be on a different device than the images. The caller applies
    alternating flips, because they depend on the epoch, and label mixing, because it needs the labels.
    """
    steps = [transform for transform in config.transforms if not isinstance(transform, LabelMixing)]

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        images = images.float()
        for step in steps:
            images = step(images, generator)
        return images

    return augment


def build_label_mixing(config: Augmentation, num_classes: int) -> MixBatch | None:
    """Return a function that mixes the images and labels of one batch, or None if `config` mixes none.

    The function takes augmented images, (n, 3, height, width), their labels, int64 (n,), and a random generator. It
    returns mixed images and soft labels, float (n, num_classes), whose rows sum to 1. Labels may also be int64
    (n, num_classes) of 0 and 1, of several labels per image; these are mixed as numbers.
    """
    steps = [transform for transform in config.transforms if isinstance(transform, LabelMixing)]
    if not steps:
        return None

    def mix(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        soft = (labels if labels.ndim == 2 else torch.nn.functional.one_hot(labels, num_classes)).float()
        for step in steps:
            images, others, weights = step.mix(images, generator)
            weights = weights.to(soft).unsqueeze(1)
            soft = weights * soft + (1 - weights) * soft[others.to(soft.device)]
        return images, soft

    return mix
