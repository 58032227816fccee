"""Subgroup properties of images, and their terciles."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, laplace

from tinysight.audit.subgroups import TERCILES, image_properties, property_subgroups, terciles


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(60, 190, (30, 3, 32, 32), dtype=np.uint8)


def test_adding_a_constant_changes_only_brightness(noise):
    plain, brighter = image_properties(noise), image_properties(noise + np.uint8(40))
    assert np.allclose(brighter["brightness"], plain["brightness"] + 40, atol=0.01)
    for name in ("contrast", "colorfulness", "sharpness"):
        assert np.allclose(brighter[name], plain[name], rtol=1e-3)


def test_a_gray_image_has_no_colorfulness(noise):
    gray = np.repeat(noise[:, :1], 3, axis=1)
    assert np.allclose(image_properties(gray)["colorfulness"], 0, atol=1e-4)
    assert (image_properties(noise)["colorfulness"] > 20).all()


def test_blurring_lowers_sharpness_and_contrast(noise):
    blurred = gaussian_filter(noise, (0, 0, 1, 1))
    for name in ("sharpness", "contrast"):
        assert (image_properties(blurred)[name] < 0.7 * image_properties(noise)[name]).all()


def test_sharpness_is_the_variance_of_scipys_laplacian(noise):
    gray = np.einsum("nchw,c->nhw", noise.astype(float), [0.299, 0.587, 0.114])
    reference = [laplace(image)[1:-1, 1:-1].var() for image in gray]
    assert np.allclose(image_properties(noise)["sharpness"], reference, rtol=1e-3)


def test_terciles_are_ordered_and_of_equal_size():
    assigned = terciles(np.random.default_rng(0).permutation(300).astype(float))
    assert [int((assigned == name).sum()) for name in TERCILES] == [100, 100, 100]
    assert list(terciles(np.array([5.0, 1.0, 9.0]))) == ["middle", "low", "high"]


def test_equal_values_share_a_tercile():
    assert len(set(terciles(np.full(10, 3.0)))) == 1


def test_every_property_has_a_tercile_per_image(noise):
    assert set(property_subgroups(noise)) == {"brightness", "contrast", "colorfulness", "sharpness"}
    assert all(len(terciles) == 30 for terciles in property_subgroups(noise).values())
