from __future__ import annotations

import pytest
import torch

from tinysight.augmentation.transforms import MID_GRAY, cutout, sample_centers


def fill_square(images: torch.Tensor, row: int, column: int, side: int) -> torch.Tensor:
    n = len(images)
    return cutout(images, torch.full((n,), row), torch.full((n,), column), side)


def test_only_the_square_turns_gray(images):
    result = fill_square(images, row=5, column=7, side=4)
    expected = images.clone()
    expected[:, :, 3:7, 5:9] = MID_GRAY
    assert torch.equal(result, expected)


def test_an_odd_side_is_symmetric_around_the_center(images):
    expected = images.clone()
    expected[:, :, 4:7, 6:9] = MID_GRAY
    assert torch.equal(fill_square(images, row=5, column=7, side=3), expected)


@pytest.mark.parametrize(("corner", "window"), [((0, 0), (slice(2), slice(2))), ((11, 11), (slice(9, 12),) * 2)])
def test_squares_are_clipped_at_the_image_border(images, corner, window):
    expected = images.clone()
    expected[:, :, window[0], window[1]] = MID_GRAY
    assert torch.equal(fill_square(images, *corner, side=4), expected)


def test_each_image_has_its_own_square(images):
    result = cutout(images, torch.arange(8), torch.arange(8).flip(0), side=1)
    rows, columns = (result[:, 0] == MID_GRAY).nonzero()[:, 1:].T
    assert rows.tolist() == list(range(8))
    assert columns.tolist() == list(range(7, -1, -1))


def test_centers_cover_the_image(generator):
    rows, columns = sample_centers(3000, height=5, width=9, generator=generator)
    assert set(rows.tolist()) == set(range(5))
    assert set(columns.tolist()) == set(range(9))
