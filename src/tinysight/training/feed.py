"""What a network is fed: the images of an epoch, shuffled, augmented and normalised, batch by batch."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysight.augmentation import pipeline
from tinysight.models.classifier import Normalisation
from tinysight.recipes.schema import Recipe
from tinysight.training.images import Images
from tinysight.training.randomness import derive, generator

BLOCK = 2**19  # pixels made at a time, 512 images of 32 x 32; more were slower (docs/experiments.md)

Batch = tuple[Tensor, Tensor]
"""Normalised float images, (n, 3, height, width) in channels_last, and their labels, int64, (n,)."""


class Feed:
    """Makes batches, several of them at a time, so that they share what small tensor operations cost each time.

    A batch follows from the seed and from its place in training alone, whatever was asked for before it.

    Attributes:
        steps: batches in an epoch; the last one may be smaller.
    """

    def __init__(self, images: Images, recipe: Recipe, normalisation: Normalisation, seed: int) -> None:
        self.images, self.normalisation, self.seed = images, normalisation, seed
        self.augment = pipeline.build(recipe.augmentation)
        self.batch_size = recipe.training.batch_size
        self.steps = math.ceil(len(images.learn) / self.batch_size)
        self.batches_a_block = max(1, BLOCK // (recipe.data.image_size**2 * self.batch_size))
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._made: dict[tuple[int, int], tuple[Batch, ...]] = {}

    def batch(self, epoch: int, step: int) -> Batch:
        """Return what is learned from in one step, counted from 0, of one epoch, counted from 0."""
        block, place = divmod(step, self.batches_a_block)
        if (epoch, block) not in self._made:
            self._made = {(epoch, block): self._make(epoch, block)}
        return self._made[epoch, block][place]

    def _make(self, epoch: int, block: int) -> tuple[Batch, ...]:
        size = self.batches_a_block * self.batch_size
        chosen = self._order(epoch)[block * size : (block + 1) * size]
        pixels = torch.from_numpy(self.images.train.pixels[chosen])
        augmented = self.augment(pixels, generator(self.seed, "augmentation", epoch, block))
        images = self.normalisation(augmented).contiguous(memory_format=torch.channels_last)
        labels = torch.from_numpy(self.images.train.labels[chosen])
        return tuple(zip(images.split(self.batch_size), labels.split(self.batch_size), strict=True))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the indices of all images to learn from, in the order of this epoch."""
        if epoch not in self._orders:
            shuffled = np.random.default_rng(derive(self.seed, "order", epoch)).permutation(self.images.learn)
            self._orders = {epoch: shuffled}
        return self._orders[epoch]
