"""Augmentation pipeline: one function that applies all transforms of a recipe."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tinysight.augmentation.affine import apply_affine, sample_affine
from tinysight.augmentation.config import Augmentation
from tinysight.augmentation.transforms import (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    cutout,
    horizontal_flip,
    padded_crop,
    sample_centers,
    sample_color_factors,
    sample_crop_offsets,
    sample_flips,
)

Augment = Callable[[Tensor, torch.Generator], Tensor]


def build_augmentation(config: Augmentation) -> Augment:
    """Return a function that applies the transforms of `config`, with independent random draws per image.

    The function takes images, (n, 3, height, width), uint8 or float, 0..255, and a random generator. It returns new
    float images, 0..255 up to rounding. The order is affine map and flip, crop, color, cutout. The same images and
    generator state give the same result. The generator may be on another device than the images. The caller applies
    alternating flips, because they depend on the epoch.
    """
    steps = [*_geometry(config), *_color(config), *_cutout(config)]

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        images = images.float()
        for step in steps:
            images = step(images, generator)
        return images

    return augment


def _geometry(config: Augmentation) -> list[Augment]:
    def affine(images: Tensor, generator: torch.Generator) -> Tensor:
        n, _, height, width = images.shape
        parameters = sample_affine(n, config, height, width, generator)
        return apply_affine(images, parameters, config.fill_mode, config.fill_value)

    def flip(images: Tensor, generator: torch.Generator) -> Tensor:
        return horizontal_flip(images, sample_flips(len(images), generator))

    def crop(images: Tensor, generator: torch.Generator) -> Tensor:
        rows, columns = sample_crop_offsets(len(images), config.crop_padding, generator)
        return padded_crop(images, rows, columns, config.crop_padding)

    steps: list[Augment] = []
    if config.is_affine:  # The affine map includes the flip at no cost.
        steps.append(affine)
    elif config.horizontal_flip:
        steps.append(flip)
    if config.crop_padding:
        steps.append(crop)
    return steps


def _color(config: Augmentation) -> list[Augment]:
    def jitter(transform: Callable[[Tensor, Tensor], Tensor], strength: float) -> Augment:
        return lambda images, generator: transform(images, sample_color_factors(len(images), strength, generator))

    strengths = {
        adjust_brightness: config.brightness,
        adjust_contrast: config.contrast,
        adjust_saturation: config.saturation,
    }
    return [jitter(transform, strength) for transform, strength in strengths.items() if strength]


def _cutout(config: Augmentation) -> list[Augment]:
    def fill_square(images: Tensor, generator: torch.Generator) -> Tensor:
        n, _, height, width = images.shape
        rows, columns = sample_centers(n, height, width, generator)
        return cutout(images, rows, columns, config.cutout)

    return [fill_square] if config.cutout else []
