"""Test-time augmentation, held against images moved by hand in numpy."""

import numpy as np
import pytest
import torch

from tinysight.models.views import PLAIN, View, tta


@pytest.fixture
def images():
    return torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))


def test_the_plain_view_is_the_image(images):
    assert torch.equal(PLAIN(images), images)


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_view_is_the_image_mirrored_and_then_moved(images, shift, mirrored):
    flipped = images.numpy()[..., ::-1] if mirrored else images.numpy()
    reach = abs(shift)
    padded = np.pad(flipped, [(0, 0), (0, 0), (reach, reach), (reach, reach)], mode="reflect")
    moved = np.roll(padded, (shift, shift), (2, 3))[..., reach : reach + 6, reach : reach + 5]

    np.testing.assert_array_equal(View(mirrored, shift)(images), moved)


def test_without_a_shift_an_image_and_its_mirror_image_count_alike():
    assert tta(0) == {View(): 0.5, View(mirrored=True): 0.5}


def test_with_a_shift_four_moved_views_have_half_of_the_weight():
    views = tta(1)
    assert sum(views.values()) == 1
    assert {view.shift for view in views} == {-1, 0, 1}
    assert sum(weight for view, weight in views.items() if view.shift) == 0.5
    assert sum(weight for view, weight in views.items() if view.mirrored) == 0.5
