from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy import stats

from tinysight.augmentation.affine import AffineParameters, apply_affine
from tinysight.augmentation.transforms.geometry import Affine

EVERYTHING = Affine(rotation=30, width_shift=0.1, height_shift=0.25, shear=10, zoom=0.4, horizontal_flip=True)


@pytest.fixture
def identity() -> AffineParameters:
    """Eight identity maps."""
    zeros, ones = torch.zeros(8), torch.ones(8)
    return AffineParameters(zeros, zeros, zeros, zeros, ones, ones, torch.zeros(8, dtype=torch.bool))


@pytest.mark.parametrize("fill", ["nearest", "reflect", "constant"])
def test_the_identity_map_returns_the_image(images, identity, fill):
    torch.testing.assert_close(apply_affine(images, identity, fill), images, atol=1e-3, rtol=0)


@pytest.mark.parametrize("fill", ["nearest", "reflect", "constant"])
def test_a_rotation_by_180_degrees_flips_both_axes_and_keeps_the_edge(images, identity, fill):
    rotated = apply_affine(images, replace(identity, theta=torch.full((8,), 180.0)), fill)
    torch.testing.assert_close(rotated, images.flip(2, 3), atol=1e-2, rtol=0)


def test_only_the_selected_images_are_flipped(images, identity):
    flip = torch.arange(8) % 2 == 0
    flipped = apply_affine(images, replace(identity, flip=flip))
    torch.testing.assert_close(flipped[0::2], images[0::2].flip(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(flipped[1::2], images[1::2], atol=1e-3, rtol=0)


def test_tx_shifts_along_the_width_and_ty_along_the_height(images, identity):
    right = apply_affine(images, replace(identity, tx=torch.full((8,), -2.0)), "constant", 9.0)
    down = apply_affine(images, replace(identity, ty=torch.full((8,), -2.0)), "constant", 9.0)
    torch.testing.assert_close(right[:, :, :, 2:], images[:, :, :, :-2], atol=1e-3, rtol=0)
    torch.testing.assert_close(down[:, :, 2:], images[:, :, :-2], atol=1e-3, rtol=0)
    assert (right[:, :, :, :2] == 9).all()
    assert (down[:, :, :2] == 9).all()


def test_a_zoom_factor_below_one_magnifies(identity):
    dot = torch.zeros(8, 1, 9, 9)
    dot[:, :, 4, 4] = 255
    magnified = apply_affine(dot, replace(identity, zx=torch.full((8,), 0.5)))
    assert (magnified[:, 0, 4, 3:6] > 100).all()
    assert (magnified[:, 0, 3] == 0).all()


def test_draws_are_uniform_in_their_ranges(generator):
    draws = EVERYTHING.sample(4000, height=40, width=20, generator=generator)
    ranges = {"theta": (0, 30), "tx": (0, 2), "ty": (0, 10), "shear": (0, 10), "zx": (1, 0.4), "zy": (1, 0.4)}
    for name, (center, radius) in ranges.items():
        values = getattr(draws, name).numpy()
        assert stats.kstest(values, "uniform", (center - radius, 2 * radius)).pvalue > 0.001, name
    assert 0.46 < draws.flip.float().mean() < 0.54


def test_the_two_zoom_factors_are_independent(generator):
    draws = EVERYTHING.sample(4000, 32, 32, generator)
    assert abs(torch.corrcoef(torch.stack([draws.zx, draws.zy]))[0, 1]) < 0.05


def test_changing_one_range_does_not_change_other_draws():
    def draw(config):
        return config.sample(5, 32, 32, torch.Generator().manual_seed(3))

    before, after = draw(EVERYTHING), draw(EVERYTHING.model_copy(update={"rotation": 0.0}))
    assert (after.theta == 0).all()
    for name in ("tx", "ty", "shear", "zx", "zy", "flip"):
        assert torch.equal(getattr(before, name), getattr(after, name)), name


def test_autocast_does_not_reduce_the_precision_of_coordinates(images, identity):
    rotated = replace(identity, theta=torch.linspace(-40, 40, 8))
    with torch.autocast("cpu", torch.bfloat16):
        inside_autocast = apply_affine(images, rotated)
    assert torch.equal(inside_autocast, apply_affine(images, rotated))
