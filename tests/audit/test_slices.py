"""What every image has: properties that order images as the eye does, and thirds of equal size."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, laplace

from tinysight.audit.slices import NAMES, properties, slices, thirds


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(60, 190, (30, 3, 32, 32), dtype=np.uint8)


def test_a_brighter_image_is_brighter_and_nothing_else(noise):
    plain, brighter = properties(noise), properties(noise + np.uint8(40))
    assert np.allclose(brighter["brightness"], plain["brightness"] + 40, atol=0.01)
    for name in ("contrast", "colourfulness", "sharpness"):
        assert np.allclose(brighter[name], plain[name], rtol=1e-3)


def test_a_grey_image_has_no_colour(noise):
    grey = np.repeat(noise[:, :1], 3, axis=1)
    assert np.allclose(properties(grey)["colourfulness"], 0, atol=1e-4)
    assert (properties(noise)["colourfulness"] > 20).all()


def test_a_blurred_image_is_less_sharp_and_less_contrasty(noise):
    blurred = gaussian_filter(noise, (0, 0, 1, 1))
    for name in ("sharpness", "contrast"):
        assert (properties(blurred)[name] < 0.7 * properties(noise)[name]).all()


def test_sharpness_is_the_variance_of_scipys_laplacian(noise):
    grey = np.einsum("nchw,c->nhw", noise.astype(float), [0.299, 0.587, 0.114])
    reference = [laplace(image)[1:-1, 1:-1].var() for image in grey]
    assert np.allclose(properties(noise)["sharpness"], reference, rtol=1e-3)


def test_thirds_hold_a_third_each_in_order():
    found = thirds(np.random.default_rng(0).permutation(300).astype(float))
    assert [int((found == name).sum()) for name in NAMES] == [100, 100, 100]
    assert list(thirds(np.array([5.0, 1.0, 9.0]))) == ["middle", "low", "high"]


def test_images_that_are_all_alike_are_in_one_slice():
    assert len(set(thirds(np.full(10, 3.0)))) == 1


def test_every_property_has_its_slices(noise):
    assert set(slices(noise)) == {"brightness", "contrast", "colourfulness", "sharpness"}
    assert all(len(of_images) == 30 for of_images in slices(noise).values())
