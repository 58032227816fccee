from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from tinysight.augmentation.colour import brightness, contrast, sample_factors, saturation

ALL = [brightness, contrast, saturation]


@pytest.mark.parametrize(
    ("ours", "pillow"),
    [
        (brightness, ImageEnhance.Brightness),
        (contrast, ImageEnhance.Contrast),
        (saturation, ImageEnhance.Color),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_results_equal_those_of_pillow_but_for_its_rounding(images, ours, pillow, factor):
    whole = images.to(torch.uint8)
    changed = ours(whole.float(), torch.full((8,), factor))
    for result, image in zip(changed, whole, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        expected = np.asarray(pillow(picture).enhance(factor), dtype=float).transpose(2, 0, 1)
        np.testing.assert_allclose(result, expected, atol=2)


@pytest.mark.parametrize("change", ALL)
def test_each_image_has_its_own_factor(images, change):
    factors = torch.linspace(0, 2, 8)
    together = change(images, factors)
    for index in range(8):
        alone = change(images[index : index + 1], factors[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone)


@pytest.mark.parametrize("change", ALL)
def test_strong_factors_stay_within_0_to_255(images, change):
    changed = change(images, torch.full((8,), 5.0))
    assert changed.min() >= 0
    assert changed.max() == 255


def test_a_grey_image_has_no_saturation_to_change(images):
    grey = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(saturation(grey, torch.full((8,), 2.0)), grey, atol=1e-3, rtol=0)


def test_factors_fill_their_range(generator):
    factors = sample_factors(5000, 0.3, generator)
    assert 0.7 <= factors.min() < 0.71
    assert 1.29 < factors.max() <= 1.3
    assert abs(factors.mean() - 1) < 0.01
