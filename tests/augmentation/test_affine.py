from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy import stats

from tinysight.augmentation.affine import AffineParameters, apply_affine, sample_affine
from tinysight.augmentation.config import Augmentation

EVERYTHING = Augmentation(rotation=30, width_shift=0.1, height_shift=0.25, shear=10, zoom=0.4, horizontal_flip=True)


@pytest.fixture
def neutral() -> AffineParameters:
    """Eight maps that change nothing."""
    zeros, ones = torch.zeros(8), torch.ones(8)
    return AffineParameters(zeros, zeros, zeros, zeros, ones, ones, torch.zeros(8, dtype=torch.bool))


@pytest.mark.parametrize("fill", ["nearest", "reflect", "constant"])
def test_a_neutral_map_leaves_the_image_as_it_is(images, neutral, fill):
    torch.testing.assert_close(apply_affine(images, neutral, fill), images, atol=1e-3, rtol=0)


@pytest.mark.parametrize("fill", ["nearest", "reflect", "constant"])
def test_a_half_turn_mirrors_both_ways_and_keeps_the_edge(images, neutral, fill):
    turned = apply_affine(images, replace(neutral, theta=torch.full((8,), 180.0)), fill)
    torch.testing.assert_close(turned, images.flip(2, 3), atol=1e-2, rtol=0)


def test_a_flip_mirrors_only_the_images_it_is_drawn_for(images, neutral):
    flip = torch.arange(8) % 2 == 0
    mirrored = apply_affine(images, replace(neutral, flip=flip))
    torch.testing.assert_close(mirrored[0::2], images[0::2].flip(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(mirrored[1::2], images[1::2], atol=1e-3, rtol=0)


def test_tx_shifts_along_the_width_and_ty_along_the_height(images, neutral):
    right = apply_affine(images, replace(neutral, tx=torch.full((8,), -2.0)), "constant", 9.0)
    down = apply_affine(images, replace(neutral, ty=torch.full((8,), -2.0)), "constant", 9.0)
    torch.testing.assert_close(right[:, :, :, 2:], images[:, :, :, :-2], atol=1e-3, rtol=0)
    torch.testing.assert_close(down[:, :, 2:], images[:, :, :-2], atol=1e-3, rtol=0)
    assert (right[:, :, :, :2] == 9).all()
    assert (down[:, :, :2] == 9).all()


def test_a_factor_below_one_magnifies(neutral):
    dot = torch.zeros(8, 1, 9, 9)
    dot[:, :, 4, 4] = 255
    grown = apply_affine(dot, replace(neutral, zx=torch.full((8,), 0.5)))
    assert (grown[:, 0, 4, 3:6] > 100).all()
    assert (grown[:, 0, 3] == 0).all()


def test_draws_fill_their_ranges_evenly(generator):
    drawn = sample_affine(4000, EVERYTHING, height=40, width=20, generator=generator)
    ranges = {"theta": (0, 30), "tx": (0, 2), "ty": (0, 10), "shear": (0, 10), "zx": (1, 0.4), "zy": (1, 0.4)}
    for name, (centre, reach) in ranges.items():
        values = getattr(drawn, name).numpy()
        assert stats.kstest(values, "uniform", (centre - reach, 2 * reach)).pvalue > 0.001, name
    assert 0.46 < drawn.flip.float().mean() < 0.54


def test_the_two_zoom_factors_are_independent(generator):
    drawn = sample_affine(4000, EVERYTHING, 32, 32, generator)
    assert abs(torch.corrcoef(torch.stack([drawn.zx, drawn.zy]))[0, 1]) < 0.05


def test_changing_one_range_leaves_the_other_draws_as_they_were():
    def draw(config):
        return sample_affine(5, config, 32, 32, torch.Generator().manual_seed(3))

    before, after = draw(EVERYTHING), draw(EVERYTHING.model_copy(update={"rotation": 0.0}))
    assert (after.theta == 0).all()
    for name in ("tx", "ty", "shear", "zx", "zy", "flip"):
        assert torch.equal(getattr(before, name), getattr(after, name)), name


def test_reduced_precision_elsewhere_does_not_blur_the_coordinates(images, neutral):
    turned = replace(neutral, theta=torch.linspace(-40, 40, 8))
    with torch.autocast("cpu", torch.bfloat16):
        inside_autocast = apply_affine(images, turned)
    assert torch.equal(inside_autocast, apply_affine(images, turned))
