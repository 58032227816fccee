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


def test_shifted_view_of_a_row_is_that_written_by_hand():
    """A shift to the right by one reflects the second pixel into the first column."""
    image = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]).expand(1, 3, 3, 3)
    assert View(shift=1)(image)[0, 0].tolist() == [[5, 4, 5], [2, 1, 2], [5, 4, 5]]
    assert View(shift=-1)(image)[0, 0].tolist() == [[5, 6, 5], [8, 9, 8], [5, 6, 5]]
    assert View(flip=True)(image)[0, 0].tolist() == [[3, 2, 1], [6, 5, 4], [9, 8, 7]]
    assert View(flip=True, shift=1)(image)[0, 0].tolist() == [[5, 6, 5], [2, 3, 2], [5, 6, 5]]


@given(st.integers(1, 7))
def test_views_with_a_shift_have_the_weights_of_airbench(shift):
    assert tta_views(shift) == {
        View(): 0.25,
        View(flip=True): 0.25,
        View(shift=-shift): 0.125,
        View(shift=shift): 0.125,
        View(flip=True, shift=-shift): 0.125,
        View(flip=True, shift=shift): 0.125,
    }


def test_mean_over_crops_is_that_computed_by_hand():
    crops = np.array([[0, 51, 255], [102, 102, 102]], np.uint8).reshape(2, 3, 1, 1, 1)
    mean = average_over_crops(lambda pixels: pixels[:, 0, 0].astype(np.float32) / 255, crops.repeat(3, axis=2))
    np.testing.assert_allclose(mean[:, 0], [(0 + 0.2 + 1) / 3, 0.4], atol=1e-6)
    assert mean.dtype == np.float32
