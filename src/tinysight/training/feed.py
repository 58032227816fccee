"""Batch loader: shuffled, augmented and normalized training batches."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysight.augmentation import pipeline
from tinysight.augmentation.flip import horizontal_flip
from tinysight.data.pixels import Pixels, gathered, mapped
from tinysight.models.classifier import Normalisation
from tinysight.recipes.schema import Recipe, Training
from tinysight.training import streaming
from tinysight.training.images import Images
from tinysight.training.randomness import derive, generator

BLOCK = 2**19  # pixels prepared at a time: 512 images of 32x32; larger blocks were slower (docs/experiments.md)

Batch = tuple[Tensor, Tensor]
"""Normalized float images, (n, 3, height, width) in channels_last, and labels, int64, (n,)."""


class Feed:
    """Makes batches, a block of several at a time to share the overhead of small tensor operations.

    A batch depends only on the seed, the epoch and the step, not on the order of the calls. Memory-mapped images are
    read through a shuffle buffer.

    Attributes:
        steps: batches per epoch; the last one may be smaller.
        images_an_epoch: images in these batches.
        batches_a_block: batches that are prepared together.
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
        self._flipped_first = np.random.default_rng(derive(seed, "flip")).random(len(images.train)) < 0.5
        # A multiple of the block of batches, so that no block spans two buffers.
        block_size = self.batches_a_block * self.batch_size
        capacity = streaming.images_in(streaming.WINDOW, images.train.pixels)
        self._buffer_size = max(1, capacity // block_size) * block_size
        self._is_mapped = mapped(images.train.pixels)
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._buffers: dict[tuple[int, int], streaming.Window] = {}
        self._blocks: dict[tuple[int, int], tuple[Batch, ...]] = {}

    def batch(self, epoch: int, step: int) -> Batch:
        """Return the batch of one step of an epoch, both counted from 0."""
        block, index = divmod(step, self.batches_a_block)
        if (epoch, block) not in self._blocks:
            self._blocks = {(epoch, block): self._make_block(epoch, block)}
        return self._blocks[epoch, block][index]

    def plain(self, count: int) -> Tensor:
        """Return up to `count` training images on the CPU, normalized but not augmented.

        They are evenly spaced, since a dataset may be sorted by class.
        """
        learn = self.images.learn
        chosen = learn[np.linspace(0, len(learn) - 1, min(count, len(learn))).astype(np.int64)]
        return self.normalisation(torch.from_numpy(gathered(self.images.train.pixels, chosen)).float())

    def _make_block(self, epoch: int, block: int) -> tuple[Batch, ...]:
        size = self.batches_a_block * self.batch_size
        start, end = block * size, min((block + 1) * size, self.steps * self.batch_size)
        chosen = self._order(epoch)[start:end]
        pixels = self._buffer(epoch, start).at(chosen) if self._is_mapped else self.images.train.pixels[chosen]
        flipped = self._flip(epoch, chosen, pixels)
        augmented = self.augment(flipped, generator(self.seed, "augmentation", epoch, block))
        images = self.normalisation(augmented).contiguous(memory_format=torch.channels_last)
        labels = torch.from_numpy(self.images.train.labels[chosen]).to(self.device)
        return tuple(zip(images.split(self.batch_size), labels.split(self.batch_size), strict=True))

    def _flip(self, epoch: int, chosen: NDArray[np.int64], pixels: Pixels) -> Tensor:
        """Return float images, 0..255, mirrored in every second epoch if flips alternate."""
        images = torch.from_numpy(pixels).to(self.device).float()
        if not self.alternating_flip:
            return images
        return horizontal_flip(images, torch.from_numpy(self._flipped_first[chosen] ^ (epoch % 2 == 1)))

    def _buffer(self, epoch: int, start: int) -> streaming.Window:
        """Return the shuffle buffer that holds the images from position `start` of an epoch on."""
        number = start // self._buffer_size
        if (epoch, number) not in self._buffers:
            self._buffers = {}  # free the previous buffer before reading the next
            first = number * self._buffer_size
            rows = self._order(epoch)[first : first + self._buffer_size]
            self._buffers = {(epoch, number): streaming.Window.on(self.images.train.pixels, rows)}
        return self._buffers[epoch, number]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the training indices in the order of this epoch."""
        if epoch not in self._orders:
            random, learn = np.random.default_rng(derive(self.seed, "order", epoch)), self.images.learn
            block = streaming.images_in(streaming.BLOCK, self.images.train.pixels)
            self._orders = {
                epoch: streaming.shuffled(learn, block, self._buffer_size, random)
                if self._is_mapped
                else random.permutation(learn)
            }
        return self._orders[epoch]


def _steps(images: int, training: Training) -> int:
    """Return the number of batches in an epoch."""
    batches = images / training.batch_size
    return max(1, math.floor(batches)) if training.drop_last else math.ceil(batches)
