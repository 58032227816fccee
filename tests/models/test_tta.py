"""Test-time augmentation views match flips and shifts in numpy."""

import numpy as np
import pytest
import torch

from tinysight.models.tta import IDENTITY_VIEW, View, tta_views


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
