"""The corruptions by name, with their constants for five severities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tinysight.evaluation.corruptions import blur, digital, weather

SEVERITIES = (1, 2, 3, 4, 5)

CorruptionFunction = Callable[..., Tensor]


@dataclass(frozen=True)
class Corruption:
    """An image corruption with five severities.

    Attributes:
        function: the function that corrupts a batch.
        constants: its arguments after the images, for each severity.
        is_random: whether it is random and takes a generator.
    """

    function: CorruptionFunction
    constants: tuple[tuple[Any, ...], ...]
    is_random: bool

    @property
    def description(self) -> str:
        """The first line of the docstring of the function."""
        return (self.function.__doc__ or "").split("\n")[0]

    def apply(self, images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Return corrupted images, (n, 3, height, width), 0..1; the severity is 1..5."""
        change = partial(self.function, images, *self.constants[severity - 1])
        return (change(generator=generator) if self.is_random else change()).clamp(0, 1)


def _zoom_factors(max_factor: float) -> tuple[float, ...]:
    return tuple(1 + step / 100 for step in range(round(100 * (max_factor - 1)) + 1))


CORRUPTIONS = {
    "gaussian noise": Corruption(digital.gaussian_noise, ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,)), is_random=True),
    "shot noise": Corruption(digital.shot_noise, ((500,), (250,), (100,), (75,), (50,)), is_random=True),
    "impulse noise": Corruption(digital.impulse_noise, ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)), is_random=True),
    "defocus blur": Corruption(
        blur.defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)), is_random=False
    ),
    "glass blur": Corruption(
        blur.glass_blur, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)), is_random=True
    ),
    "motion blur": Corruption(blur.motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)), is_random=True),
    "zoom blur": Corruption(
        blur.zoom_blur, tuple((_zoom_factors(m),) for m in (1.05, 1.1, 1.15, 1.2, 1.25)), is_random=False
    ),
    "snow": Corruption(
        weather.snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        is_random=True,
    ),
    "frost": Corruption(weather.frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)), is_random=True),
    "fog": Corruption(weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)), is_random=True),
    "brightness": Corruption(digital.brightness, ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)), is_random=False),
    "contrast": Corruption(digital.contrast, ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)), is_random=False),
    "elastic transform": Corruption(
        digital.elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        is_random=True,
    ),
    "pixelate": Corruption(digital.pixelate, ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)), is_random=False),
    "JPEG compression": Corruption(digital.jpeg_compression, ((80,), (65,), (58,), (50,), (40,)), is_random=False),
}
