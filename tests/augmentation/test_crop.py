from __future__ import annotations

import numpy as np
import pytest
import torch

from tinysight._util.errors import InputError
from tinysight.augmentation.transforms import padded_crop, sample_crop_offsets


@pytest.mark.parametrize("padding", [1, 4, 11])
def test_crops_are_windows_of_the_padded_image(images, generator, padding):
    rows, columns = sample_crop_offsets(8, padding, generator)
    cropped = padded_crop(images, rows, columns, padding)
    for index, (row, column) in enumerate(zip(rows, columns, strict=True)):
        padded = np.pad(images[index].numpy(), [(0, 0), (padding, padding), (padding, padding)], mode="reflect")
        assert np.array_equal(cropped[index], padded[:, row : row + 12, column : column + 12])


def test_non_square_images_keep_their_shape(generator):
    images = torch.rand(5, 3, 10, 17)
    assert padded_crop(images, *sample_crop_offsets(5, 2, generator), padding=2).shape == images.shape


def test_the_center_crop_is_the_original_image(images):
    center = torch.full((8,), 3)
    assert torch.equal(padded_crop(images, center, center, padding=3), images)


def test_every_offset_is_equally_likely(generator):
    rows, columns = sample_crop_offsets(9000, 4, generator)
    for offsets in (rows, columns):
        counts = torch.bincount(offsets, minlength=9)
        assert len(counts) == 9
        assert ((counts > 880) & (counts < 1120)).all()


def test_too_much_padding_is_rejected_with_the_maximum(images):
    with pytest.raises(InputError, match=r"crop_padding is 12 pixels, but the images are 12 x 12\. Use at most 11"):
        padded_crop(images, torch.zeros(8).long(), torch.zeros(8).long(), padding=12)
