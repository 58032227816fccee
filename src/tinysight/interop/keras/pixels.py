"""Pixel scaling of imported models: the values that a network was trained on, and a check of them on images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight._util.errors import InputError
from tinysight.data.dataset import Pixels, Split
from tinysight.data.pixels import take
from tinysight.models.classifier import Normalization

NAMED = {
    "0..1": Normalization(),
    "0..255": Normalization(std=(1.0, 1.0, 1.0)),
    "-1..1": Normalization((127.5,) * 3, (127.5,) * 3),
}
_IMAGENET = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_SAMPLE_SIZE = 500  # images
_LEAST_GAIN = 0.1  # fraction of the images
_Z = 3.0  # standard errors


def parse_pixels(text: str) -> Normalization:
    """Return the normalization for "0..1", "0..255", "-1..1", or "MEAN,STD" of pixels from 0 to 255.

    MEAN and STD are one number each, or three each for red, green and blue: "R,G,B,R,G,B".

    Raises:
        InputError: the text is none of them.

    >>> parse_pixels("120,60").mean
    (120.0, 120.0, 120.0)
    """
    if text in NAMED:
        return NAMED[text]
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    mean, std = values[: len(values) // 2], values[len(values) // 2 :]
    if len(values) not in (2, 6) or not all(map(math.isfinite, values)) or min(std) <= 0:
        raise InputError(
            f"pixels: {text!r} is not a scaling. Pass 0..1, 0..255, -1..1, or MEAN,STD of pixels from 0 to 255."
        )
    repeat = 3 // len(mean)
    return Normalization((*mean * repeat,), (*std * repeat,))  # type: ignore[arg-type]  # three values each


def describe(normalization: Normalization) -> str:
    """Return the text that `parse_pixels` takes for a normalization.

    >>> describe(parse_pixels("-1..1"))
    '-1..1'
    >>> describe(parse_pixels("120,60"))
    '120,60'
    """
    for name, named in NAMED.items():
        if named == normalization:
            return name
    parts = [values[:1] if len(set(values)) == 1 else values for values in (normalization.mean, normalization.std)]
    if len(parts[0]) != len(parts[1]):
        parts = [normalization.mean, normalization.std]
    return ",".join(f"{value:.6g}" for part in parts for value in part)


@dataclass(frozen=True)
class BetterScaling:
    """A pixel scaling under which a network is right far more often: its text, and both accuracies on n images."""

    pixels: str
    accuracy: float
    accuracy_before: float
    n: int


def find_better_scaling(
    probabilities: Callable[[Pixels, Normalization], NDArray[np.float32]], images: Split, current: Normalization
) -> BetterScaling | None:
    """Return the usual scaling that fits far better than the current one on a sample of labeled images, or None.

    Far better is at least 10 percentage points and three standard errors of the difference.

    Args:
        probabilities: returns (n, classes) for images under a normalization.
        images: labeled images.
        current: the normalization that is compared with.
    """
    indices = np.unique(np.linspace(0, len(images) - 1, min(_SAMPLE_SIZE, len(images))).astype(np.int64))
    if len(indices) == 0:
        return None
    pixels, labels = take(images.pixels, indices), images.labels[indices]

    def correct(normalization: Normalization) -> NDArray[np.bool_]:
        return np.asarray(probabilities(pixels, normalization).argmax(1) == labels)

    before = correct(current)
    results = {candidate: correct(candidate) for candidate in _usual_scalings(pixels) if candidate != current}
    best = max(results, key=lambda candidate: int(results[candidate].sum()))
    after = results[best]
    gain, changed = int(after.sum()) - int(before.sum()), int((after != before).sum())
    if gain < max(_LEAST_GAIN * len(labels), _Z * math.sqrt(changed)):
        return None
    return BetterScaling(describe(best), float(after.mean()), float(before.mean()), len(labels))


def _usual_scalings(pixels: Pixels) -> list[Normalization]:
    """Return the named scalings, ImageNet's, and those by the mean and standard deviation of the images."""
    per_channel = Normalization.fit([pixels])
    mean, std = float(pixels.mean()), max(float(pixels.std()), 1.0)
    return [
        *NAMED.values(),
        _IMAGENET,
        Normalization((mean,) * 3, (std,) * 3),
        per_channel,
        Normalization(per_channel.mean, (255.0,) * 3),
        Normalization(per_channel.mean, (1.0,) * 3),
    ]
