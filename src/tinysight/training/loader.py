"""Batch loader: shuffled, augmented and normalized training batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysight.augmentation import pipeline
from tinysight.augmentation.affine import horizontal_flip
from tinysight.data.pixels import Pixels, is_memmapped, take
from tinysight.data.splits import TrainSplit
from tinysight.models.classifier import IDENTITY, Normalization, batch_size
from tinysight.models.pretrained import IMAGENET_MEAN, IMAGENET_STD
from tinysight.recipes.schema import Recipe, TrainingSection
from tinysight.training import shuffle_buffer
from tinysight.training.backbone import find_backbone
from tinysight.training.seeding import derive_seed, seeded_generator

# Pixels prepared at a time: 512 images of 32x32. Larger blocks were slower
# (docs/experiments/augmentation-memory-allocation.md).
BLOCK_PIXELS = 2**19

Batch = tuple[Tensor, Tensor]
"""Normalized float images, (n, 3, height, width) in channels_last, and labels, int64, (n,) or (n, classes).

If the recipe mixes labels, they are soft instead: float, (n, classes).
"""


_FIXED = {
    "none": IDENTITY,
    "scale": Normalization(),
    "symmetric": Normalization((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "imagenet": Normalization(IMAGENET_MEAN, IMAGENET_STD),
}


def fit_normalization(recipe: Recipe, split: TrainSplit) -> Normalization:
    """Return the pixel normalization of the recipe: that of its backbone, or fitted on the training images."""
    if recipe.data.normalization == "backbone" and recipe.model.backbone is not None:
        return find_backbone(recipe.model.backbone).normalization
    if fixed := _FIXED.get(recipe.data.normalization):
        return fixed
    batches = np.array_split(
        split.train_indices, math.ceil(len(split.train_indices) / batch_size(recipe.data.image_size))
    )
    return Normalization.fit(take(split.train.pixels, batch) for batch in batches)


class BatchLoader:
    """Makes batches, a block of several at a time to share the overhead of small tensor operations.

    A batch depends only on the seed, the epoch and the step, not on the order of the calls. Memory-mapped images are
    read through a shuffle buffer.

    Attributes:
        steps_per_epoch: batches per epoch; the last one may be smaller.
        images_per_epoch: images in these batches.
        batches_per_block: batches that are prepared together.
        image_weights: loss weight of each image of the training split, float32, or None for equal weights.
    """

    def __init__(
        self,
        split: TrainSplit,
        recipe: Recipe,
        normalization: Normalization,
        seed: int,
        device: str = "cpu",
        num_classes: int | None = None,
    ) -> None:
        self.split, self.normalization, self.seed, self.device = split, normalization, seed, device
        self.augment = pipeline.build_augmentation(recipe.augmentation)
        self.mix_labels = pipeline.build_label_mixing(
            recipe.augmentation, num_classes or int(split.train.labels.max()) + 1
        )
        self.alternating_flip = recipe.augmentation.alternating_flip
        self.batch_size = recipe.training.batch_size
        self.steps_per_epoch = _steps(len(split.train_indices), recipe.training)
        self.images_per_epoch = min(self.steps_per_epoch * self.batch_size, len(split.train_indices))
        self.batches_per_block = max(1, BLOCK_PIXELS // (recipe.data.image_size**2 * self.batch_size))
        self._balanced = recipe.training.sampling == "balanced"
        self.image_weights = _image_weights(split, recipe.training)
        self._flipped_first = np.random.default_rng(derive_seed(seed, "flip")).random(len(split.train)) < 0.5
        # A multiple of the block of batches, so that no block spans two buffers.
        block_size = self.batches_per_block * self.batch_size
        capacity = shuffle_buffer.images_per_bytes(shuffle_buffer.BUFFER_BYTES, split.train.pixels)
        self._buffer_size = max(1, capacity // block_size) * block_size
        self._is_mapped = is_memmapped(split.train.pixels)
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._buffers: dict[tuple[int, int], shuffle_buffer.ShuffleBuffer] = {}
        self._blocks: dict[tuple[int, int], tuple[Batch, ...]] = {}

    def batch(self, epoch: int, step: int) -> Batch:
        """Return the batch of one step of an epoch, both counted from 0."""
        block, index = divmod(step, self.batches_per_block)
        if (epoch, block) not in self._blocks:
            self._blocks = {(epoch, block): self._make_block(epoch, block)}
        return self._blocks[epoch, block][index]

    def weights(self, epoch: int, step: int) -> Tensor | None:
        """Return the loss weight of each image of a batch, float32 (n,), or None for equal weights."""
        if self.image_weights is None:
            return None
        chosen = self._order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        return torch.from_numpy(self.image_weights[chosen]).to(self.device)

    def sample(self, count: int) -> Tensor:
        """Return up to `count` training images on the CPU, normalized but not augmented.

        They are evenly spaced, since a dataset may be sorted by class.
        """
        learn = self.split.train_indices
        chosen = learn[np.linspace(0, len(learn) - 1, min(count, len(learn))).astype(np.int64)]
        return self.normalization(torch.from_numpy(take(self.split.train.pixels, chosen)).float())

    def _make_block(self, epoch: int, block: int) -> tuple[Batch, ...]:
        size = self.batches_per_block * self.batch_size
        start, end = block * size, min((block + 1) * size, self.steps_per_epoch * self.batch_size)
        chosen = self._order(epoch)[start:end]
        pixels = self._buffer(epoch, start).take(chosen) if self._is_mapped else self.split.train.pixels[chosen]
        flipped = self._flip(epoch, chosen, pixels)
        generator = seeded_generator(self.seed, "augmentation", epoch, block)
        augmented, labels = self.augment(flipped, generator), torch.from_numpy(self.split.train.labels[chosen])
        labels = labels.to(self.device)
        if self.mix_labels:
            batches = zip(augmented.split(self.batch_size), labels.split(self.batch_size), strict=True)
            mixed = [self.mix_labels(images, targets, generator) for images, targets in batches]
            augmented, labels = (torch.cat(tensors) for tensors in zip(*mixed, strict=True))
        images = self.normalization(augmented).contiguous(memory_format=torch.channels_last)
        return tuple(zip(images.split(self.batch_size), labels.split(self.batch_size), strict=True))

    def _flip(self, epoch: int, chosen: NDArray[np.int64], pixels: Pixels) -> Tensor:
        """Return float images, 0..255, mirrored in every second epoch if flips alternate."""
        images = torch.from_numpy(pixels).to(self.device).float()
        if not self.alternating_flip:
            return images
        return horizontal_flip(images, torch.from_numpy(self._flipped_first[chosen] ^ (epoch % 2 == 1)))

    def _buffer(self, epoch: int, start: int) -> shuffle_buffer.ShuffleBuffer:
        """Return the shuffle buffer that holds the images from position `start` of an epoch on."""
        number = start // self._buffer_size
        if (epoch, number) not in self._buffers:
            self._buffers = {}  # free the previous buffer before reading the next
            first = number * self._buffer_size
            rows = self._order(epoch)[first : first + self._buffer_size]
            self._buffers = {(epoch, number): shuffle_buffer.ShuffleBuffer.load(self.split.train.pixels, rows)}
        return self._buffers[epoch, number]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the training indices in the order of this epoch."""
        if epoch not in self._orders:
            random, learn = np.random.default_rng(derive_seed(self.seed, "order", epoch)), self.split.train_indices
            if self._balanced:
                learn = balanced_sample(learn, self.split.train.labels, random)
            block = shuffle_buffer.images_per_bytes(shuffle_buffer.BLOCK_BYTES, self.split.train.pixels)
            self._orders = {
                epoch: shuffle_buffer.shuffle_blocks(learn, block, self._buffer_size, random)
                if self._is_mapped
                else random.permutation(learn)
            }
        return self._orders[epoch]


def balanced_sample(
    indices: NDArray[np.int64], labels: NDArray[np.integer[Any]], random: np.random.Generator
) -> NDArray[np.int64]:
    """Return as many indices, sorted, with equally many of every class.

    Within a class, no image is used more than once more than another.

    Args:
        indices: (n,), of the training images.
        labels: labels of all images; those of `indices` are used.
        random: chooses the images that are used once more than the others.
    """
    classes = np.unique(labels[indices])
    sizes = np.full(len(classes), len(indices) // len(classes))
    sizes[random.permutation(len(classes))[: len(indices) % len(classes)]] += 1
    chosen = []
    for label, size in zip(classes, sizes, strict=True):
        of_class = indices[labels[indices] == label]
        repeats, rest = divmod(int(size), len(of_class))
        chosen += [np.tile(of_class, repeats), random.permutation(of_class)[:rest]]
    return np.sort(np.concatenate(chosen))


def _image_weights(split: TrainSplit, training: TrainingSection) -> NDArray[np.float32] | None:
    """Return the loss weight of each image, with a mean of 1 over the training images; None for equal weights."""
    weights = split.train.weights
    if training.class_weight == "none":
        return weights
    labels, learn = split.train.labels, split.train_indices
    counts = np.bincount(labels[learn], minlength=int(labels.max()) + 1)
    by_class = len(learn) / np.maximum(counts, 1)
    combined = by_class[labels] * (1.0 if weights is None else weights)
    scaled: NDArray[np.float32] = (combined / combined[learn].mean()).astype(np.float32)
    return scaled


def _steps(images: int, training: TrainingSection) -> int:
    """Return the number of batches in an epoch."""
    batches = images / training.batch_size
    return max(1, math.floor(batches)) if training.drop_last else math.ceil(batches)
