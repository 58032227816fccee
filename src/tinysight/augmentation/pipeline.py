"""From a recipe's `[augmentation]` table to one function on batches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tinysight.augmentation.affine import apply_affine, sample_affine
from tinysight.augmentation.colour import brightness, contrast, sample_factors, saturation
from tinysight.augmentation.config import Augmentation
from tinysight.augmentation.crop import padded_crop, sample_offsets
from tinysight.augmentation.cutout import cutout, sample_centres
from tinysight.augmentation.flip import horizontal_flip, sample_flips

Augment = Callable[[Tensor, torch.Generator], Tensor]


def build(config: Augmentation) -> Augment:
    """Return the function that does what `config` says, to every image with draws of its own.

    It takes images, (n, 3, height, width), uint8 or float, 0..255, and the generator to draw from, and returns
    float images, 0..255 up to rounding; those handed in stay as they are. The order is affine map and flip, crop,
    colours, cutout; with all of it off, images only become float. The same images and generator state give the
    same result. The generator may live on another device than the images. An alternating flip, which depends on the
    epoch, is left to the caller.
    """
    steps = [*_geometry(config), *_colour(config), *_cutout(config)]

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
        return apply_affine(images, parameters, config.fill, config.fill_value)

    def flip(images: Tensor, generator: torch.Generator) -> Tensor:
        return horizontal_flip(images, sample_flips(len(images), generator))

    def crop(images: Tensor, generator: torch.Generator) -> Tensor:
        rows, columns = sample_offsets(len(images), config.crop_padding, generator)
        return padded_crop(images, rows, columns, config.crop_padding)

    steps: list[Augment] = []
    if config.moves:  # The map flips as well, at no cost.
        steps.append(affine)
    elif config.horizontal_flip:
        steps.append(flip)
    if config.crop_padding:
        steps.append(crop)
    return steps


def _colour(config: Augmentation) -> list[Augment]:
    def jitter(change: Callable[[Tensor, Tensor], Tensor], share: float) -> Augment:
        return lambda images, generator: change(images, sample_factors(len(images), share, generator))

    shares = {brightness: config.brightness, contrast: config.contrast, saturation: config.saturation}
    return [jitter(change, share) for change, share in shares.items() if share]


def _cutout(config: Augmentation) -> list[Augment]:
    def blank(images: Tensor, generator: torch.Generator) -> Tensor:
        n, _, height, width = images.shape
        rows, columns = sample_centres(n, height, width, generator)
        return cutout(images, rows, columns, config.cutout)

    return [blank] if config.cutout else []
