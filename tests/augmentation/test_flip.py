from __future__ import annotations

import torch

from tinysight.augmentation.flip import horizontal_flip, sample_flips


def test_only_the_chosen_images_are_mirrored_left_to_right(images):
    flips = torch.tensor([True, False] * 4)
    mirrored = horizontal_flip(images, flips)
    assert torch.equal(mirrored[::2], images[::2].flip(3))
    assert torch.equal(mirrored[1::2], images[1::2])


def test_flipping_twice_gives_the_image_back(images, generator):
    flips = sample_flips(8, generator)
    assert torch.equal(horizontal_flip(horizontal_flip(images, flips), flips), images)


def test_half_the_images_are_chosen(generator):
    assert 0.46 < sample_flips(4000, generator).float().mean() < 0.54
