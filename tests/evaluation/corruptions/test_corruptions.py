"""Pictures made worse: all alike in their contract, each in what it is named for."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from tinysight.data import shapes
from tinysight.evaluation.corruptions import CATALOGUE, SEVERITIES, blur, digital, noise, weather
from tinysight.training.randomness import generator

EVERY = pytest.mark.parametrize("name", CATALOGUE)


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(shapes.draw(40, seed=3).pixels).float() / 255


def corrupted(name, images, severity, seed=0):
    return CATALOGUE[name].apply(images, severity, generator(seed, name, severity))


def test_there_are_the_fifteen():
    assert len(CATALOGUE) == 15
    assert all(len(corruption.constants) == len(SEVERITIES) for corruption in CATALOGUE.values())


@EVERY
def test_they_keep_shape_and_range_and_leave_the_original_alone(name, images):
    before = images.clone()
    for severity in SEVERITIES:
        changed = corrupted(name, images, severity)
        assert changed.shape == images.shape
        assert changed.dtype == torch.float32
        assert changed.min() >= 0
        assert changed.max() <= 1
    assert torch.equal(images, before)


@EVERY
def test_the_same_seed_does_the_same_and_another_seed_something_else(name, images):
    once, again, other = (corrupted(name, images, 3, seed) for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert torch.equal(once, other) == (not CATALOGUE[name].draws)


# Of these the published constants change the kind of the damage from severity to severity, not its size in pixels.
OTHERWISE = {"glass blur", "elastic transform", "pixelate"}


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name not in OTHERWISE])
def test_more_severe_is_further_away(name, images):
    distances = [float((corrupted(name, images, severity) - images).square().mean().sqrt()) for severity in SEVERITIES]
    assert distances[0] > 0.001
    assert distances[4] > 1.2 * distances[0]


def test_rougher_glass_shows_a_point_further_away():
    point = torch.zeros(300, 3, 33, 33)
    point[:, :, 16, 16] = 1
    away = (torch.arange(33.0) - 16) ** 2
    slight, strong = (
        float((corrupted("glass blur", point, severity).mean((0, 1)) * (away[:, None] + away)).sum())
        for severity in (1, 5)
    )
    assert strong > 2 * slight > 0


@pytest.mark.parametrize("share", [0.95, 0.75, 0.5])
def test_coarse_pixels_are_the_means_of_what_they_cover(images, share):
    side = int(32 * share)
    picture = Image.fromarray((images[0] * 255).byte().permute(1, 2, 0).numpy())
    reference = np.asarray(
        picture.resize((side, side), Image.Resampling.BOX).resize((32, 32), Image.Resampling.NEAREST)
    )
    ours = 255 * digital.pixelate(images[:1], share)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - reference).max() < 2  # Pillow rounds after each direction


def test_more_severe_bends_straight_lines_more():
    """A ramp that is only moved and skewed has no second differences."""
    ramp = (torch.arange(32.0) / 31).expand(20, 3, 32, 32).contiguous()
    bent = [corrupted("elastic transform", ramp, severity)[:, :, 8:24, 8:24] for severity in (1, 5)]
    slight, strong = (float(images.diff(n=2, dim=2).abs().mean()) for images in bent)
    assert slight < 0.005
    assert strong > 3 * slight


@EVERY
def test_it_is_described_in_a_sentence(name):
    assert CATALOGUE[name].description.endswith(".")


@EVERY
@pytest.mark.parametrize("size", [8, 33, 64])
def test_images_of_any_size_are_taken(name, size):
    images = torch.from_numpy(shapes.draw(3, seed=0, size=size).pixels).float() / 255
    assert corrupted(name, images, 5).shape == images.shape


@EVERY
def test_images_of_one_colour_stay_finite(name):
    for level in (0.0, 0.5, 1.0):
        assert corrupted(name, torch.full((2, 3, 32, 32), level), 5).isfinite().all()


def test_noise_has_the_spread_it_is_given():
    grey = torch.full((200, 3, 32, 32), 0.5)
    draws = generator(0, "noise")
    assert float((noise.gaussian_noise(grey, 0.1, draws) - grey).std()) == pytest.approx(0.1, rel=0.01)
    counted = noise.shot_noise(grey, 100.0, draws)
    assert (float(counted.mean()), float(counted.std())) == pytest.approx((0.5, (0.5 / 100) ** 0.5), rel=0.01)
    struck = noise.impulse_noise(grey, 0.07, draws)
    assert [float((struck == level).float().mean()) for level in (0.0, 1.0)] == pytest.approx([0.035, 0.035], rel=0.03)


def test_blurring_with_a_gaussian_is_what_scipy_does(images):
    ours = blur._filtered(images, blur._gaussian(0.6))
    reference = gaussian_filter(images.numpy(), (0, 0, 0.6, 0.6), mode="mirror", truncate=3.4)
    assert np.abs(ours.numpy() - reference).max() < 0.002


def test_defocus_spreads_a_point_over_a_disk():
    point = torch.zeros(1, 3, 33, 33)
    point[:, :, 16, 16] = 1
    disk = blur.defocus_blur(point, 1.5, 0.1)[0, 0]
    assert float(disk.sum()) == pytest.approx(1, abs=1e-5)
    assert disk[15:18, 15:18].min() > 0.1
    assert disk[16, 18] < 1e-3


def test_motion_smears_along_and_not_across():
    point = torch.zeros(4, 3, 33, 33)
    point[:, :, 16, 16] = 1
    smear = blur.smeared(point, torch.zeros(4), 6, 2)[0, 0]
    assert smear[16, 17] > 0.1
    assert smear[17, 16] < 1e-3
    assert smear[16, 15] < 1e-3


def test_zooming_keeps_the_middle_and_moves_the_rest():
    ring = torch.zeros(1, 3, 33, 33)
    ring[..., 16, 16] = ring[..., 16, 22] = 1
    zoomed = blur.zoom_blur(ring, (1.0, 1.5))[0, 0]
    assert zoomed[16, 16] > 0.6
    assert zoomed[16, 25] > 0.05


def test_brightness_keeps_hue_and_saturation():
    colour = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    brighter = digital.brightness(colour, 0.3)
    assert torch.allclose(brighter / brighter.amax(1, keepdim=True), colour / colour.amax(1, keepdim=True))
    assert float(brighter.amax()) == pytest.approx(0.9)
    assert digital.brightness(torch.zeros(1, 3, 2, 2), 0.3).unique().tolist() == pytest.approx([0.3])


def test_contrast_keeps_the_mean_of_every_channel(images):
    pale = digital.contrast(images, 0.4)
    assert torch.allclose(pale.mean((2, 3)), images.mean((2, 3)), atol=1e-5)
    assert torch.allclose(pale.std((2, 3)), 0.4 * images.std((2, 3)), atol=1e-5)


def test_pixels_become_blocks():
    ramp = torch.arange(32.0).expand(1, 3, 32, 32) / 32
    coarse = digital.pixelate(ramp, 0.5)
    assert torch.equal(coarse[..., ::2], coarse[..., 1::2])
    assert float(coarse[0, 0, 0, 0]) == pytest.approx((0 + 1 / 32) / 2)


def test_jpeg_of_high_quality_hardly_changes_a_smooth_picture():
    ramp = torch.arange(32.0).expand(1, 3, 32, 32) / 40
    assert float((digital.jpeg_compression(ramp, 95) - ramp).abs().max()) < 0.02


def test_fog_brightens_and_flattens(images):
    foggy = weather.fog(images, 1.0, 2, generator(0, "fog"))
    assert foggy.std((2, 3)).mean() < images.std((2, 3)).mean()


def test_clouds_fill_the_range_and_are_smoother_with_a_larger_decay():
    rough, smooth = (weather.cloud(torch.zeros(50, 3, 32, 32), decay, generator(0, "cloud")) for decay in (1.2, 3.0))
    assert (float(rough.amin()), float(rough.amax())) == (0, 1)
    assert (rough.diff(dim=3).abs().mean()) > 2 * smooth.diff(dim=3).abs().mean()
