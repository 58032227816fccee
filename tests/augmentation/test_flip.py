from __future__ import annotations

import torch

from tinysight.augmentation.transforms import horizontal_flip, sample_flips


def test_only_the_selected_images_are_flipped(images):
    flips = torch.tensor([True, False] * 4)
    flipped = horizontal_flip(images, flips)
    assert torch.equal(flipped[::2], images[::2].flip(3))
    assert torch.equal(flipped[1::2], images[1::2])


def test_flipping_twice_restores_the_image(images, generator):
    flips = sample_flips(8, generator)
    assert torch.equal(horizontal_flip(horizontal_flip(images, flips), flips), images)


def test_half_of_the_images_are_flipped(generator):
    assert 0.46 < sample_flips(4000, generator).float().mean() < 0.54
