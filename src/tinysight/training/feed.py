"""What a network is fed: the images of an epoch, shuffled, augmented and normalised, batch by batch."""

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

BLOCK = 2**19  # pixels made at a time, 512 images of 32 x 32; more were slower (docs/experiments.md)

Batch = tuple[Tensor, Tensor]
"""Normalised float images, (n, 3, height, width) in channels_last, and their labels, int64, (n,)."""


class Feed:
    """Makes batches, several of them at a time, so that they share what small tensor operations cost each time.

    A batch follows from the seed and from its place in training alone, whatever was asked for before it. Images
    that are mapped from a file are read a window at a time (see `streaming`).

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
        # Whole blocks of batches, so that none of them is in two windows.
        size, held = self.batches_a_block * self.batch_size, streaming.images_in(streaming.WINDOW, images.train.pixels)
        self._window_size = max(1, held // size) * size
        self._streams = mapped(images.train.pixels)
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._windows: dict[tuple[int, int], streaming.Window] = {}
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
        return self.normalisation(torch.from_numpy(gathered(self.images.train.pixels, chosen)).float())

    def _make(self, epoch: int, block: int) -> tuple[Batch, ...]:
        size = self.batches_a_block * self.batch_size
        start, end = block * size, min((block + 1) * size, self.steps * self.batch_size)
        chosen = self._order(epoch)[start:end]
        pixels = self._window(epoch, start).at(chosen) if self._streams else self.images.train.pixels[chosen]
        shown = self._shown(epoch, chosen, pixels)
        augmented = self.augment(shown, generator(self.seed, "augmentation", epoch, block))
        images = self.normalisation(augmented).contiguous(memory_format=torch.channels_last)
        labels = torch.from_numpy(self.images.train.labels[chosen]).to(self.device)
        return tuple(zip(images.split(self.batch_size), labels.split(self.batch_size), strict=True))

    def _shown(self, epoch: int, chosen: NDArray[np.int64], pixels: Pixels) -> Tensor:
        """Return float images, 0..255, those mirrored whose turn it is if flips alternate."""
        images = torch.from_numpy(pixels).to(self.device).float()
        if not self.alternating_flip:
            return images
        return horizontal_flip(images, torch.from_numpy(self._begin_mirrored[chosen] ^ (epoch % 2 == 1)))

    def _window(self, epoch: int, start: int) -> streaming.Window:
        """Return the window that holds the images from place `start` of an epoch on."""
        number = start // self._window_size
        if (epoch, number) not in self._windows:
            self._windows = {}  # the last one makes room before the next one is read
            place = number * self._window_size
            rows = self._order(epoch)[place : place + self._window_size]
            self._windows = {(epoch, number): streaming.Window.on(self.images.train.pixels, rows)}
        return self._windows[epoch, number]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the indices of the images to learn from, in the order of this epoch."""
        if epoch not in self._orders:
            random, learn = np.random.default_rng(derive(self.seed, "order", epoch)), self.images.learn
            block = streaming.images_in(streaming.BLOCK, self.images.train.pixels)
            shuffled = (
                streaming.shuffled(learn, block, self._window_size, random)
                if self._streams
                else random.permutation(learn)
            )
            self._orders = {epoch: shuffled}
        return self._orders[epoch]


def _steps(images: int, training: Training) -> int:
    """Return how many batches an epoch has."""
    batches = images / training.batch_size
    return max(1, math.floor(batches)) if training.drop_last else math.ceil(batches)
