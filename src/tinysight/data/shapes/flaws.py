"""Flaws planted on purpose in the `shapes` dataset, so that audits can be checked against the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Labels
from tinysight.data.shapes.drawing import Drawn, Masks, stream
from tinysight.data.shapes.outlines import OUTLINES
from tinysight.errors import DataError

Indices = NDArray[np.int64]

GIVEN_AWAY = 0  # the class whose backgrounds give it away
_GIVEAWAY_COLOUR = np.array([230, 0, 130], np.uint16).reshape(3, 1, 1)
_LABEL_STREAM, _BACKGROUND_STREAM, _TWIN_STREAM = 2, 3, 4  # 0 and 1 draw the pictures


@dataclass(frozen=True)
class Flaws:
    """What to plant, as shares from 0 to 1.

    Attributes:
        wrong_labels: of the training labels, replaced by another class at random.
        background_gives_away: of the training images of one class, on a pink background; the same share of
            the test images of every other class are on it instead, so that who learned the colour fails.
        near_duplicates: of the test images, replaced by near-twins of training images of the same class
            (mirrored or not, shifted by up to a pixel, a little noise).

    Raises:
        DataError: a share is not within 0..1.
    """

    wrong_labels: float = 0.0
    background_gives_away: float = 0.0
    near_duplicates: float = 0.0

    def __post_init__(self) -> None:
        for name, share in self._named():
            if not 0 <= share <= 1:
                raise DataError(f"The share of {name} to plant is {share:g}; it must lie within 0 and 1.")

    def remark(self) -> str:
        """Return what a reader of figures from this data must know, in one sentence."""
        planted = ", ".join(f"{name} {share:.1%}" for name, share in self._named() if share)
        return f"Flaws were planted on purpose: {planted}."

    def _named(self) -> list[tuple[str, float]]:
        return [(field.replace("_", " "), share) for field, share in asdict(self).items()]


NO_FLAWS = Flaws()


@dataclass(frozen=True)
class Planted:
    """The truth about a `shapes` dataset that its images and labels do not tell.

    Attributes:
        train_masks: bool, (n, size, size), where the shape is.
        test_masks: likewise.
        true_labels: of the training images, before any was replaced.
        wrong_labels: indices of the training images whose label was replaced.
        giveaway_train: indices of the training images on the background that gives their class away.
        giveaway_test: indices of the test images, of other classes, on that background.
        twins: (k, 2), each the index of a test image and of the training image it nearly repeats.
    """

    train_masks: Masks
    test_masks: Masks
    true_labels: Labels
    wrong_labels: Indices
    giveaway_train: Indices
    giveaway_test: Indices
    twins: Indices


def plant(train: Drawn, test: Drawn, flaws: Flaws, seed: int) -> tuple[Drawn, Drawn, Planted]:
    """Return both splits with the flaws in them, and what is where. `train` and `test` stay as they are.

    No image has both the background and a twin: twins are a share of the test images without the background,
    as far as their classes have training images without it.
    """
    random = stream(seed, _BACKGROUND_STREAM)
    giveaway_train = _some(np.flatnonzero(train.labels == GIVEN_AWAY), flaws.background_gives_away, random)
    giveaway_test = _some(np.flatnonzero(test.labels != GIVEN_AWAY), flaws.background_gives_away, random)
    random = stream(seed, _TWIN_STREAM)
    free_test = np.setdiff1d(np.arange(len(test.labels)), giveaway_test)
    free_train = np.setdiff1d(np.arange(len(train.labels)), giveaway_train)
    chosen = _some(free_test, flaws.near_duplicates, random)
    twins = _partners(chosen, test.labels, free_train, train.labels, random)
    flawed_test = _with_twins(_on_giveaway_colour(test, giveaway_test), train, twins, random)
    wrong, labels = _mislabelled(train.labels, flaws.wrong_labels, stream(seed, _LABEL_STREAM))
    flawed_train = replace(_on_giveaway_colour(train, giveaway_train), labels=labels)
    planted = Planted(
        train_masks=train.masks,
        test_masks=flawed_test.masks,
        true_labels=train.labels,
        wrong_labels=wrong,
        giveaway_train=giveaway_train,
        giveaway_test=giveaway_test,
        twins=twins,
    )
    return flawed_train, flawed_test, planted


def _some(candidates: Indices, share: float, random: np.random.Generator) -> Indices:
    order = random.random(len(candidates)).argsort()
    return np.sort(candidates[order[: round(share * len(candidates))]])


def _mislabelled(labels: Labels, share: float, random: np.random.Generator) -> tuple[Indices, Labels]:
    wrong = _some(np.arange(len(labels)), share, random)
    steps = 1 + (random.random(len(wrong)) * (len(OUTLINES) - 1)).astype(np.int64)
    labels = labels.copy()
    labels[wrong] = (labels[wrong] + steps) % len(OUTLINES)
    return wrong, labels


def _on_giveaway_colour(drawn: Drawn, indices: Indices) -> Drawn:
    """Tint everything but the shape in the given images."""
    pixels = drawn.pixels.copy()
    tinted = (pixels[indices].astype(np.uint16) + 2 * _GIVEAWAY_COLOUR) // 3
    pixels[indices] = np.where(drawn.masks[indices, None], pixels[indices], tinted)
    return replace(drawn, pixels=pixels)


def _partners(
    chosen: Indices, labels: Labels, candidates: Indices, candidate_labels: Labels, random: np.random.Generator
) -> Indices:
    """Pair each chosen image with a candidate of its class; leave out those whose class has none."""
    pairs = [np.empty((0, 2), np.int64)]
    for label in range(len(OUTLINES)):
        own = chosen[labels[chosen] == label]
        partners = candidates[candidate_labels[candidates] == label]
        if len(partners):
            picks = (random.random(len(own)) * len(partners)).astype(np.int64)
            pairs.append(np.stack([own, partners[picks]], axis=1))
    return np.concatenate(pairs)


def _with_twins(test: Drawn, train: Drawn, twins: Indices, random: np.random.Generator) -> Drawn:
    copies, originals = twins.T
    pixels, masks = test.pixels.copy(), test.masks.copy()
    size = masks.shape[-1]
    shift = (random.random((2, len(twins), 1)) * 3).astype(np.int64) - 1
    rows, columns = (np.arange(size) + shift).clip(0, size - 1)
    columns = np.where(random.random((len(twins), 1)) < 0.5, columns[:, ::-1], columns)
    which, row, column = originals[:, None, None], rows[:, :, None], columns[:, None, :]
    noise = (random.random((len(twins), 3, size, size), np.float32) * 9).astype(np.int16) - 4
    moved = train.pixels.transpose(0, 2, 3, 1)[which, row, column].transpose(0, 3, 1, 2)
    pixels[copies] = (moved + noise).clip(0, 255)
    masks[copies] = train.masks[which, row, column]
    return replace(test, pixels=pixels, masks=masks)
