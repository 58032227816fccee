"""Test-time augmentation and averaging over crops match numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinysight.models.tta import IDENTITY_VIEW, View, average_over_crops, tta_views


@pytest.fixture
def images():
    return torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))


def test_identity_view_is_the_image(images):
    assert torch.equal(IDENTITY_VIEW(images), images)


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_view_flips_and_then_shifts(images, shift, mirrored):
    flipped = images.numpy()[..., ::-1] if mirrored else images.numpy()
    margin = abs(shift)
    padded = np.pad(flipped, [(0, 0), (0, 0), (margin, margin), (margin, margin)], mode="reflect")
    shifted = np.roll(padded, (shift, shift), (2, 3))[..., margin : margin + 6, margin : margin + 5]

    np.testing.assert_array_equal(View(mirrored, shift)(images), shifted)


def test_without_a_shift_the_image_and_its_flip_have_equal_weights():
    assert tta_views(0) == {View(): 0.5, View(flip=True): 0.5}


def test_with_a_shift_four_shifted_views_have_half_of_the_weight():
    views = tta_views(1)
    assert sum(views.values()) == 1
    assert {view.shift for view in views} == {-1, 0, 1}
    assert sum(weight for view, weight in views.items() if view.shift) == 0.5
    assert sum(weight for view, weight in views.items() if view.flip) == 0.5


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=5))
def test_mean_counts_every_crop_and_predicts_equal_crops_once(repeats):
    """`repeats`: for each image, whether its second and third crop equal the first."""
    random, batch_sizes = np.random.default_rng(len(repeats)), []
    crops = random.integers(0, 256, (len(repeats), 3, 3, 2, 2), dtype=np.uint8)
    for image_crops, same in zip(crops, repeats, strict=True):
        image_crops[1:][same] = image_crops[0]

    def predict(pixels):
        batch_sizes.append(len(pixels))
        return pixels.mean((2, 3)).astype(np.float32) / 255

    probabilities = average_over_crops(predict, crops)
    for row, image_crops in zip(probabilities, crops, strict=True):
        assert np.allclose(row, np.mean([crop.mean((1, 2)) / 255 for crop in image_crops], axis=0), atol=1e-6)
    assert sum(batch_sizes) == len(crops) + sum(not same for pair in repeats for same in pair)
