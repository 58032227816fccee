"""Corruptions: the common contract, and the effect of each."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from tinysight.data.sources import shapes
from tinysight.evaluation import corruptions
from tinysight.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from tinysight.training.seeding import seeded_generator

EVERY_CORRUPTION = pytest.mark.parametrize("name", CORRUPTIONS)


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(shapes.render_shapes(40, seed=3).pixels).float() / 255


def corrupted(name, images, severity, seed=0):
    return CORRUPTIONS[name].apply(images, severity, seeded_generator(seed, name, severity))


def test_there_are_15_corruptions():
    assert len(CORRUPTIONS) == 15
    assert all(len(corruption.constants) == len(SEVERITIES) for corruption in CORRUPTIONS.values())


@EVERY_CORRUPTION
def test_corruptions_keep_shape_range_and_input(name, images):
    before = images.clone()
    for severity in SEVERITIES:
        changed = corrupted(name, images, severity)
        assert changed.shape == images.shape
        assert changed.dtype == torch.float32
        assert changed.min() >= 0
        assert changed.max() <= 1
    assert torch.equal(images, before)


@EVERY_CORRUPTION
def test_random_corruptions_depend_on_seed(name, images):
    once, again, other = (corrupted(name, images, 3, seed) for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert torch.equal(once, other) == (not CORRUPTIONS[name].is_random)


# The published constants of these do not increase the pixel distance with severity.
NOT_MONOTONIC = {"glass blur", "elastic transform", "pixelate"}


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name not in NOT_MONOTONIC])
def test_distance_grows_with_severity(name, images):
    distances = [float((corrupted(name, images, severity) - images).square().mean().sqrt()) for severity in SEVERITIES]
    assert distances[0] > 0.001
    assert distances[4] > 1.2 * distances[0]


def test_glass_blur_spreads_further_with_severity():
    point = torch.zeros(300, 3, 33, 33)
    point[:, :, 16, 16] = 1
    squared_distance = (torch.arange(33.0) - 16) ** 2
    slight, strong = (
        float(
            (
                corrupted("glass blur", point, severity).mean((0, 1)) * (squared_distance[:, None] + squared_distance)
            ).sum()
        )
        for severity in (1, 5)
    )
    assert strong > 2 * slight > 0


@pytest.mark.parametrize("share", [0.95, 0.75, 0.5])
def test_pixelate_equals_pillow_box_filter(images, share):
    side = int(32 * share)
    image = Image.fromarray((images[0] * 255).byte().permute(1, 2, 0).numpy())
    reference = np.asarray(image.resize((side, side), Image.Resampling.BOX).resize((32, 32), Image.Resampling.NEAREST))
    ours = 255 * corruptions.pixelate(images[:1], share)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - reference).max() < 2  # Pillow rounds after each axis


def test_elastic_transform_bends_lines_more_with_severity():
    """An affine transform of a ramp has no second differences."""
    ramp = (torch.arange(32.0) / 31).expand(20, 3, 32, 32).contiguous()
    warped = [corrupted("elastic transform", ramp, severity)[:, :, 8:24, 8:24] for severity in (1, 5)]
    slight, strong = (float(images.diff(n=2, dim=2).abs().mean()) for images in warped)
    assert slight < 0.005
    assert strong > 3 * slight


@EVERY_CORRUPTION
def test_description_is_a_sentence(name):
    assert CORRUPTIONS[name].description.endswith(".")


@EVERY_CORRUPTION
@pytest.mark.parametrize("size", [8, 33, 64])
def test_any_image_size_is_accepted(name, size):
    images = torch.from_numpy(shapes.render_shapes(3, seed=0, size=size).pixels).float() / 255
    assert corrupted(name, images, 5).shape == images.shape


@EVERY_CORRUPTION
def test_constant_images_stay_finite(name):
    for level in (0.0, 0.5, 1.0):
        assert corrupted(name, torch.full((2, 3, 32, 32), level), 5).isfinite().all()


def test_noise_has_the_given_standard_deviation():
    gray = torch.full((200, 3, 32, 32), 0.5)
    rng = seeded_generator(0, "noise")
    assert float((corruptions.gaussian_noise(gray, 0.1, rng) - gray).std()) == pytest.approx(0.1, rel=0.01)
    shot = corruptions.shot_noise(gray, 100.0, rng)
    assert (float(shot.mean()), float(shot.std())) == pytest.approx((0.5, (0.5 / 100) ** 0.5), rel=0.01)
    impulse = corruptions.impulse_noise(gray, 0.07, rng)
    assert [float((impulse == level).float().mean()) for level in (0.0, 1.0)] == pytest.approx([0.035, 0.035], rel=0.03)


def test_glass_blur_without_shuffling_blurs_twice_as_scipy(images):
    ours = corruptions.glass_blur(images, 0.6, 1, iterations=0, generator=torch.Generator())
    reference = images.numpy()
    for _ in range(2):
        reference = gaussian_filter(reference, (0, 0, 0.6, 0.6), mode="mirror", truncate=3.4)
    assert np.abs(ours.numpy() - reference).max() < 0.002


def test_defocus_blur_of_a_point_is_a_disk():
    point = torch.zeros(1, 3, 33, 33)
    point[:, :, 16, 16] = 1
    disk = corruptions.defocus_blur(point, 1.5, 0.1)[0, 0]
    assert float(disk.sum()) == pytest.approx(1, abs=1e-5)
    assert disk[15:18, 15:18].min() > 0.1
    assert disk[16, 18] < 1e-3


def test_motion_blur_is_directional():
    point = torch.zeros(4, 3, 33, 33)
    point[:, :, 16, 16] = 1
    smear = corruptions.directional_blur(point, torch.zeros(4), 6, 2)[0, 0]
    assert smear[16, 17] > 0.1
    assert smear[17, 16] < 1e-3
    assert smear[16, 15] < 1e-3


def test_zoom_blur_keeps_the_center():
    ring = torch.zeros(1, 3, 33, 33)
    ring[..., 16, 16] = ring[..., 16, 22] = 1
    zoomed = corruptions.zoom_blur(ring, (1.0, 1.5))[0, 0]
    assert zoomed[16, 16] > 0.6
    assert zoomed[16, 25] > 0.05


def test_brightness_keeps_hue_and_saturation():
    color = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    brighter = corruptions.brightness(color, 0.3)
    assert torch.allclose(brighter / brighter.amax(1, keepdim=True), color / color.amax(1, keepdim=True))
    assert float(brighter.amax()) == pytest.approx(0.9)
    assert corruptions.brightness(torch.zeros(1, 3, 2, 2), 0.3).unique().tolist() == pytest.approx([0.3])


def test_contrast_keeps_the_mean_of_every_channel(images):
    pale = corruptions.contrast(images, 0.4)
    assert torch.allclose(pale.mean((2, 3)), images.mean((2, 3)), atol=1e-5)
    assert torch.allclose(pale.std((2, 3)), 0.4 * images.std((2, 3)), atol=1e-5)


def test_pixelate_makes_blocks_of_means():
    ramp = torch.arange(32.0).expand(1, 3, 32, 32) / 32
    coarse = corruptions.pixelate(ramp, 0.5)
    assert torch.equal(coarse[..., ::2], coarse[..., 1::2])
    assert float(coarse[0, 0, 0, 0]) == pytest.approx((0 + 1 / 32) / 2)


def test_high_quality_jpeg_changes_smooth_image_little():
    ramp = torch.arange(32.0).expand(1, 3, 32, 32) / 40
    assert float((corruptions.jpeg_compression(ramp, 95) - ramp).abs().max()) < 0.02


def test_fog_reduces_contrast(images):
    foggy = corruptions.fog(images, 1.0, 2, seeded_generator(0, "fog"))
    assert foggy.std((2, 3)).mean() < images.std((2, 3)).mean()


def test_clouds_span_0_to_1_and_are_smoother_with_larger_decay():
    rough, smooth = (
        corruptions.fractal_noise(torch.zeros(50, 3, 32, 32), decay, seeded_generator(0, "cloud"))
        for decay in (1.2, 3.0)
    )
    assert (float(rough.amin()), float(rough.amax())) == (0, 1)
    assert (rough.diff(dim=3).abs().mean()) > 2 * smooth.diff(dim=3).abs().mean()
