"""Defects injected into the `shapes` dataset, with ground truth to test audits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinysight._util.errors import DataError
from tinysight._util.formatting import percent
from tinysight.data.dataset import Labels
from tinysight.data.sources.shapes.render import SIGNED_DISTANCES, Masks, RenderedBatch, spawn_rng

Indices = NDArray[np.int64]

SPURIOUS_CLASS = 0  # the class with the spurious background
_SPURIOUS_COLOR = np.array([230, 0, 130], np.uint16).reshape(3, 1, 1)
_LABEL_STREAM, _BACKGROUND_STREAM, _DUPLICATE_STREAM = 2, 3, 4  # the renderer uses 0 and 1


@dataclass(frozen=True)
class Defects:
    """Defects to inject, as fractions from 0 to 1.

    Attributes:
        label_errors: fraction of the training labels replaced by another, random class.
        spurious_background: fraction of the training images of one class that get a pink background. The same
            fraction of the test images of all other classes gets it too, so a network that relies on it fails.
        near_duplicates: fraction of the test images replaced by near-duplicates of training images of the same
            class: randomly flipped, shifted by at most one pixel, with a little noise.

    Raises:
        DataError: a fraction is outside 0..1.
    """

    label_errors: float = 0.0
    spurious_background: float = 0.0
    near_duplicates: float = 0.0

    def __post_init__(self) -> None:
        for name, fraction in self._fractions().items():
            if not 0 <= fraction <= 1:
                raise DataError(f"The fraction of {name} is {fraction:g}. It must be between 0 and 1.")

    def note(self) -> str:
        """Return the note on the dataset that lists its defects."""
        injected = ", ".join(f"{name} {percent(fraction)}" for name, fraction in self._fractions().items() if fraction)
        return f"Defects were injected on purpose: {injected}."

    def _fractions(self) -> dict[str, float]:
        return {
            "label errors": self.label_errors,
            "spurious backgrounds": self.spurious_background,
            "near-duplicates": self.near_duplicates,
        }


NO_DEFECTS = Defects()


@dataclass(frozen=True)
class GroundTruth:
    """Ground truth of a `shapes` dataset.

    Attributes:
        train_masks: bool, (n, size, size), True on the shape.
        test_masks: likewise.
        true_labels: labels of the training images without label errors.
        label_errors: indices of the training images with a wrong label.
        spurious_train: indices of the training images with the spurious background.
        spurious_test: indices of the test images, of other classes, with that background.
        near_duplicates: (k, 2), pairs of the index of a test image and of the training image that it nearly duplicates.
    """

    train_masks: Masks
    test_masks: Masks
    true_labels: Labels
    label_errors: Indices
    spurious_train: Indices
    spurious_test: Indices
    near_duplicates: Indices


def inject_defects(
    train: RenderedBatch, test: RenderedBatch, defects: Defects, seed: int
) -> tuple[RenderedBatch, RenderedBatch, GroundTruth]:
    """Return copies of both splits with defects, and the ground truth.

    An image with the spurious background is never part of a near-duplicate pair. So near-duplicates are a fraction
    of the test images without that background, and only of classes with training images without it.
    """
    random = spawn_rng(seed, _BACKGROUND_STREAM)
    spurious_train = _sample(np.flatnonzero(train.labels == SPURIOUS_CLASS), defects.spurious_background, random)
    spurious_test = _sample(np.flatnonzero(test.labels != SPURIOUS_CLASS), defects.spurious_background, random)
    random = spawn_rng(seed, _DUPLICATE_STREAM)
    free_test = np.setdiff1d(np.arange(len(test.labels)), spurious_test)
    free_train = np.setdiff1d(np.arange(len(train.labels)), spurious_train)
    chosen = _sample(free_test, defects.near_duplicates, random)
    pairs = _pair_within_class(chosen, test.labels, free_train, train.labels, random)
    flawed_test = _with_duplicates(_with_spurious_background(test, spurious_test), train, pairs, random)
    wrong, labels = _with_label_errors(train.labels, defects.label_errors, spawn_rng(seed, _LABEL_STREAM))
    flawed_train = replace(_with_spurious_background(train, spurious_train), labels=labels)
    truth = GroundTruth(
        train_masks=train.masks,
        test_masks=flawed_test.masks,
        true_labels=train.labels,
        label_errors=wrong,
        spurious_train=spurious_train,
        spurious_test=spurious_test,
        near_duplicates=pairs,
    )
    return flawed_train, flawed_test, truth


def _sample(candidates: Indices, fraction: float, random: np.random.Generator) -> Indices:
    order = random.random(len(candidates)).argsort()
    return np.sort(candidates[order[: round(fraction * len(candidates))]])


def _with_label_errors(labels: Labels, fraction: float, random: np.random.Generator) -> tuple[Indices, Labels]:
    wrong = _sample(np.arange(len(labels)), fraction, random)
    steps = 1 + (random.random(len(wrong)) * (len(SIGNED_DISTANCES) - 1)).astype(np.int64)
    labels = labels.copy()
    labels[wrong] = (labels[wrong] + steps) % len(SIGNED_DISTANCES)
    return wrong, labels


def _with_spurious_background(images: RenderedBatch, indices: Indices) -> RenderedBatch:
    """Tint the background of the given images."""
    pixels = images.pixels.copy()
    tinted = (pixels[indices].astype(np.uint16) + 2 * _SPURIOUS_COLOR) // 3
    pixels[indices] = np.where(images.masks[indices, None], pixels[indices], tinted)
    return replace(images, pixels=pixels)


def _pair_within_class(
    chosen: Indices, labels: Labels, candidates: Indices, candidate_labels: Labels, random: np.random.Generator
) -> Indices:
    """Pair each chosen image with a random candidate of its class; drop it if there is none."""
    pairs = [np.empty((0, 2), np.int64)]
    for label in range(len(SIGNED_DISTANCES)):
        images = chosen[labels[chosen] == label]
        partners = candidates[candidate_labels[candidates] == label]
        if len(partners):
            picks = (random.random(len(images)) * len(partners)).astype(np.int64)
            pairs.append(np.stack([images, partners[picks]], axis=1))
    return np.concatenate(pairs)


def _with_duplicates(
    test: RenderedBatch, train: RenderedBatch, pairs: Indices, random: np.random.Generator
) -> RenderedBatch:
    copies, originals = pairs.T
    pixels, masks = test.pixels.copy(), test.masks.copy()
    size = masks.shape[-1]
    shift = (random.random((2, len(pairs), 1)) * 3).astype(np.int64) - 1
    rows, columns = (np.arange(size) + shift).clip(0, size - 1)
    columns = np.where(random.random((len(pairs), 1)) < 0.5, columns[:, ::-1], columns)
    image, row, column = originals[:, None, None], rows[:, :, None], columns[:, None, :]
    noise = (random.random((len(pairs), 3, size, size), np.float32) * 9).astype(np.int16) - 4
    shifted = train.pixels.transpose(0, 2, 3, 1)[image, row, column].transpose(0, 3, 1, 2)
    pixels[copies] = (shifted + noise).clip(0, 255)
    masks[copies] = train.masks[image, row, column]
    return replace(test, pixels=pixels, masks=masks)
