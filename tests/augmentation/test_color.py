from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from tinysight.augmentation.transforms import (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    sample_color_factors,
)

ALL = [adjust_brightness, adjust_contrast, adjust_saturation]


@pytest.mark.parametrize(
    ("ours", "pillow"),
    [
        (adjust_brightness, ImageEnhance.Brightness),
        (adjust_contrast, ImageEnhance.Contrast),
        (adjust_saturation, ImageEnhance.Color),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_results_equal_pillow_up_to_rounding(images, ours, pillow, factor):
    rounded = images.to(torch.uint8)
    changed = ours(rounded.float(), torch.full((8,), factor))
    for result, image in zip(changed, rounded, strict=True):
        pil_image = Image.fromarray(image.permute(1, 2, 0).numpy())
        expected = np.asarray(pillow(pil_image).enhance(factor), dtype=float).transpose(2, 0, 1)
        np.testing.assert_allclose(result, expected, atol=2)


@pytest.mark.parametrize("change", ALL)
def test_each_image_uses_its_own_factor(images, change):
    factors = torch.linspace(0, 2, 8)
    batch = change(images, factors)
    for index in range(8):
        single = change(images[index : index + 1], factors[index : index + 1])
        torch.testing.assert_close(batch[index : index + 1], single)


@pytest.mark.parametrize("change", ALL)
def test_results_are_clamped_to_0_to_255(images, change):
    changed = change(images, torch.full((8,), 5.0))
    assert changed.min() >= 0
    assert changed.max() == 255


def test_saturation_does_not_change_a_gray_image(images):
    gray = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(adjust_saturation(gray, torch.full((8,), 2.0)), gray, atol=1e-3, rtol=0)


def test_factors_cover_their_range(generator):
    factors = sample_color_factors(5000, 0.3, generator)
    assert 0.7 <= factors.min() < 0.71
    assert 1.29 < factors.max() <= 1.3
    assert abs(factors.mean() - 1) < 0.01
