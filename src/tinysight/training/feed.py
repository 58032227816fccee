"""What a network is fed: the images of an epoch, shuffled, augmented and normalised, batch by batch."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysight.augmentation import pipeline
from tinysight.augmentation.flip import horizontal_flip
from tinysight.models.classifier import Normalisation
from tinysight.recipes.schema import Recipe, Training
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
        images_an_epoch: how many images these hold.
    """

    def __init__(
        self, images: Images, recipe: Recipe, normalisation: Normalisation, seed: int, device: str = "cpu"
    ) -> None:
        self.images, self.normalisation, self.seed, self.device = images, normalisation, seed, device
        self.augment = pipeline.build(recipe.augmentation)
        self.alternating_flip = recipe.augmentation.alternating_flip
        self.batch_size = recipe.training.batch_size
        self.steps = _steps(len(images.learn), recipe.training)
        self.images_an_epoch = min(self.steps * self.batch_size, len(images.learn))
        self.batches_a_block = max(1, BLOCK // (recipe.data.image_size**2 * self.batch_size))
        self._begin_mirrored = np.random.default_rng(derive(seed, "flip")).random(len(images.train)) < 0.5
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._made: dict[tuple[int, int], tuple[Batch, ...]] = {}

    def batch(self, epoch: int, step: int) -> Batch:
        """Return what is learned from in one step, counted from 0, of one epoch, counted from 0."""
        block, place = divmod(step, self.batches_a_block)
        if (epoch, block) not in self._made:
            self._made = {(epoch, block): self._make(epoch, block)}
        return self._made[epoch, block][place]

    def plain(self, count: int) -> Tensor:
        """Return `count` images to learn from, normalised but not augmented, in the processor's memory.

        They are taken from all over the dataset, which may be in the order of its classes.
        """
        learn = self.images.learn
        chosen = learn[np.linspace(0, len(learn) - 1, min(count, len(learn))).astype(np.int64)]
        return self.normalisation(torch.from_numpy(self.images.train.pixels[chosen]).float())

    def _make(self, epoch: int, block: int) -> tuple[Batch, ...]:
        size = self.batches_a_block * self.batch_size
        end = min((block + 1) * size, self.steps * self.batch_size)
        chosen = self._order(epoch)[block * size : end]
        augmented = self.augment(self._pixels(epoch, chosen), generator(self.seed, "augmentation", epoch, block))
        images = self.normalisation(augmented).contiguous(memory_format=torch.channels_last)
        labels = torch.from_numpy(self.images.train.labels[chosen]).to(self.device)
        return tuple(zip(images.split(self.batch_size), labels.split(self.batch_size), strict=True))

    def _pixels(self, epoch: int, chosen: NDArray[np.int64]) -> Tensor:
        """Return float images, 0..255, those mirrored whose turn it is if flips alternate."""
        images = torch.from_numpy(self.images.train.pixels[chosen]).to(self.device).float()
        if not self.alternating_flip:
            return images
        return horizontal_flip(images, torch.from_numpy(self._begin_mirrored[chosen] ^ (epoch % 2 == 1)))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the indices of the images to learn from, in the order of this epoch."""
        if epoch not in self._orders:
            shuffled = np.random.default_rng(derive(self.seed, "order", epoch)).permutation(self.images.learn)
            self._orders = {epoch: shuffled}
        return self._orders[epoch]


def _steps(images: int, training: Training) -> int:
    """Return how many batches an epoch has."""
    batches = images / training.batch_size
    return max(1, math.floor(batches)) if training.drop_last else math.ceil(batches)
