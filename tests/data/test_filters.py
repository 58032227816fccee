"""Luma and Gaussian blur: agreement with Pillow and SciPy."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from tinysight.data.filters import convolve, gaussian_blur, gaussian_kernel, gaussian_weights, luma


@pytest.fixture
def images():
    return torch.rand(3, 3, 12, 17, generator=torch.Generator().manual_seed(0))


def test_luma_equals_that_of_pillow_up_to_rounding():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    gray = luma(torch.from_numpy(pixels.transpose(2, 0, 1)[None]).float())
    assert gray.shape == (1, 1, 8, 9)
    assert np.abs(gray[0, 0].numpy() - np.asarray(Image.fromarray(pixels).convert("L"), dtype=float)).max() <= 0.51


def test_luma_of_gray_images_is_their_value():
    assert luma(torch.full((1, 3, 2, 2), 0.4)).flatten().tolist() == pytest.approx([0.4] * 4)


@pytest.mark.parametrize(("sigma", "reach"), [(0.3, 1), (1.0, 3), (2.5, 8)])
def test_both_blurs_equal_scipy(images, sigma, reach):
    expected = gaussian_filter(images.numpy(), (0, 0, sigma, sigma), mode="mirror", radius=reach)
    assert gaussian_blur(images, sigma, reach).numpy() == pytest.approx(expected, abs=1e-6)
    assert convolve(images, gaussian_kernel(sigma, reach)).numpy() == pytest.approx(expected, abs=1e-6)


def test_weights_are_1_in_the_middle_and_exp_minus_half_at_sigma():
    assert gaussian_weights(torch.tensor([0.0, 2.0, -2.0]), 2.0).tolist() == pytest.approx(
        [1, np.exp(-0.5), np.exp(-0.5)]
    )


def test_convolution_with_an_off_center_kernel_shifts_and_reflects(images):
    kernel = torch.zeros(3, 3)
    kernel[1, 0] = 1.0
    shifted = convolve(images, kernel)
    assert torch.equal(shifted[..., 1:], images[..., :-1])
    assert torch.equal(shifted[..., 0], images[..., 1])
