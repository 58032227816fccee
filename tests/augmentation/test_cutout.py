from __future__ import annotations

import pytest
import torch

from tinysight.augmentation.cutout import MID_GREY, cutout, sample_centres


def blank(images: torch.Tensor, row: int, column: int, side: int) -> torch.Tensor:
    n = len(images)
    return cutout(images, torch.full((n,), row), torch.full((n,), column), side)


def test_a_square_about_the_centre_turns_grey_and_nothing_else_changes(images):
    result = blank(images, row=5, column=7, side=4)
    expected = images.clone()
    expected[:, :, 3:7, 5:9] = MID_GREY
    assert torch.equal(result, expected)


def test_an_odd_side_is_symmetric_about_the_centre(images):
    expected = images.clone()
    expected[:, :, 4:7, 6:9] = MID_GREY
    assert torch.equal(blank(images, row=5, column=7, side=3), expected)


@pytest.mark.parametrize(("corner", "kept"), [((0, 0), (slice(2), slice(2))), ((11, 11), (slice(9, 12),) * 2)])
def test_what_lies_outside_the_image_is_cut_off(images, corner, kept):
    expected = images.clone()
    expected[:, :, kept[0], kept[1]] = MID_GREY
    assert torch.equal(blank(images, *corner, side=4), expected)


def test_each_image_has_its_own_square(images):
    result = cutout(images, torch.arange(8), torch.arange(8).flip(0), side=1)
    rows, columns = (result[:, 0] == MID_GREY).nonzero()[:, 1:].T
    assert rows.tolist() == list(range(8))
    assert columns.tolist() == list(range(7, -1, -1))


def test_centres_lie_anywhere_in_the_image(generator):
    rows, columns = sample_centres(3000, height=5, width=9, generator=generator)
    assert set(rows.tolist()) == set(range(5))
    assert set(columns.tolist()) == set(range(9))
