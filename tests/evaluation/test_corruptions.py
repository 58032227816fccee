"""Corruptions: the common contract, and the effect of each."""

import colorsys
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest, norm

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


# From make_cifar_c.py of https://github.com/hendrycks/robustness; lengths of the elastic transform are over its side.
PUBLISHED = {
    "gaussian noise": [0.04, 0.06, 0.08, 0.09, 0.10],
    "shot noise": [500, 250, 100, 75, 50],
    "impulse noise": [0.01, 0.02, 0.03, 0.05, 0.07],
    "defocus blur": [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
    "glass blur": [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
    "motion blur": [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
    "zoom blur": [tuple(np.linspace(1, 1 + steps / 100, steps + 1)) for steps in (5, 10, 15, 20, 25)],
    "snow": [
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ],
    "frost": [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)],
    "fog": [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
    "brightness": [0.05, 0.1, 0.15, 0.2, 0.3],
    "contrast": [0.75, 0.5, 0.4, 0.3, 0.15],
    "elastic transform": [(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)],
    "pixelate": [0.95, 0.9, 0.85, 0.75, 0.65],
    "JPEG compression": [80, 65, 58, 50, 40],
}


def test_all_constants_are_those_of_cifar_10_c():
    assert list(CORRUPTIONS) == list(PUBLISHED)
    assert SEVERITIES == (1, 2, 3, 4, 5)
    for name, expected in PUBLISHED.items():
        for constants, values in zip(CORRUPTIONS[name].constants, expected, strict=True):
            ours = constants[0] if name == "zoom blur" else constants
            assert ours == pytest.approx(values if isinstance(values, tuple) else (values,), abs=1e-12), name


def test_all_random_corruptions_are_marked():
    deterministic = {name for name, corruption in CORRUPTIONS.items() if not corruption.is_random}
    assert deterministic == {"defocus blur", "zoom blur", "brightness", "contrast", "pixelate", "JPEG compression"}


def test_a_frost_overlay_is_bluish_white():
    assert corruptions.FROST_COLOR == (0.75, 0.88, 1.0)


def wide(n=3, height=20, width=32, seed=0):
    """Random images that are wider than high."""
    return torch.from_numpy(np.random.default_rng(seed).random((n, 3, height, width), dtype=np.float32))


def point(row=16, column=16, n=1, height=33, width=32):
    """Black images with one white pixel."""
    images = torch.zeros(n, 3, height, width)
    images[:, :, row, column] = 1
    return images


def coordinates(n, height, width):
    """Images whose red is the column and whose green is the row, in pixels; a warp shows its offsets there."""
    images = torch.zeros(n, 3, height, width)
    images[:, 0], images[:, 1] = torch.arange(width), torch.arange(height)[:, None]
    return images


def each_channel(function, images):
    """Apply a function of NumPy to every channel (height, width)."""
    flat = images.flatten(0, 1).numpy()
    return np.stack([function(channel) for channel in flat]).reshape(images.shape)


@given(dx=st.floats(-5, 5), dy=st.floats(-5, 5))
@settings(max_examples=25, deadline=None)
def test_translation_equals_that_of_scipy(dx, dy):
    images = wide(2)
    reference = each_channel(lambda channel: ndimage.shift(channel, (dy, dx), order=1, mode="reflect"), images)
    ours = corruptions.translate(images, torch.full((2,), dx), torch.full((2,), dy))
    assert np.abs(ours.numpy() - reference).max() < 1e-4


def test_each_image_is_translated_by_its_own_offset():
    moved = corruptions.translate(point(n=2), torch.tensor([2.0, -3.0]), torch.tensor([-1.0, 4.0]))
    assert (moved[0] - point(15, 18)[0]).abs().max() < 1e-4
    assert (moved[1] - point(20, 13)[0]).abs().max() < 1e-4


def test_translation_by_an_offset_per_pixel_samples_the_pixels_on_the_other_side():
    images = coordinates(2, 12, 18)
    random = np.random.default_rng(1)
    dx, dy = (torch.from_numpy(random.uniform(-1, 1, (2, 12, 18)).astype(np.float32)) for _ in range(2))
    moved = corruptions.translate(images, dx, dy)[..., 1:-1, 1:-1]
    assert (moved[:, 0] - (images[:, 0] - dx)[:, 1:-1, 1:-1]).abs().max() < 1e-4
    assert (moved[:, 1] - (images[:, 1] - dy)[:, 1:-1, 1:-1]).abs().max() < 1e-4


def scipy_zoom(images, factor):
    def zoom(channel):
        center = (np.array(channel.shape) - 1) / 2
        return ndimage.affine_transform(channel, np.eye(2) / factor, center - center / factor, order=1, mode="nearest")

    return each_channel(zoom, images)


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.07, 1.9])
def test_zoom_equals_that_of_scipy(factor):
    images = wide()
    assert np.abs(corruptions.zoom(images, factor).numpy() - scipy_zoom(images, factor)).max() < 1e-4


def test_zoom_blur_is_the_mean_of_the_image_and_its_zooms():
    images = wide()
    reference = (images.numpy() + scipy_zoom(images, 1.2) + scipy_zoom(images, 1.5)) / 3
    assert np.abs(corruptions.zoom_blur(images, (1.2, 1.5)).numpy() - reference).max() < 1e-4


@pytest.mark.parametrize(("side", "radius", "sigma"), [(32, 1, 0.2), (32, 1.5, 0.5), (64, 1, 0.3), (16, 2, 1.2)])
def test_defocus_blur_equals_a_disk_and_a_gaussian_of_scipy(side, radius, sigma):
    """Lengths are for a width of 32 pixels; a disk contains the pixels at a distance of exactly its radius."""
    images, scale = wide(2, side, side), side / 32
    reach = math.ceil(radius * scale)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (rows**2 + columns**2 <= (radius * scale) ** 2) * 1.0

    def blur(channel):
        blurred = ndimage.convolve(channel, disk / disk.sum(), mode="mirror")
        return gaussian_filter(blurred, sigma * scale, mode="mirror", radius=max(1, math.ceil(3 * sigma * scale)))

    ours = corruptions.defocus_blur(images, radius, sigma).numpy()
    assert np.abs(ours - each_channel(blur, images)).max() < 1e-4


@pytest.mark.parametrize(
    ("side", "max_offset", "iterations", "lowest", "highest"),
    [(32, 1, 1, -1, 0), (32, 2, 1, -2, 1), (64, 1, 1, -2, 1), (48, 1, 1, -2, 1), (8, 1, 1, -1, 0), (32, 2, 2, -4, 2)],
)
def test_glass_blur_moves_pixels_within_its_reach(side, max_offset, iterations, lowest, highest):
    """With a sigma of almost 0, nothing but the shuffling remains."""
    images, margin = coordinates(60, side - 3, side), -lowest
    glass = corruptions.glass_blur(images, 1e-3, max_offset, iterations, torch.Generator().manual_seed(0))
    for channel in (0, 1):
        offsets = (glass - images)[:, channel, margin : -margin or None, margin : -margin or None]
        assert offsets.unique().tolist() == list(range(lowest, highest + 1))
    assert (glass[:, 0].min(), glass[:, 0].max()) == (0, side - 1)
    assert (glass[:, 1].min(), glass[:, 1].max()) == (0, side - 4)
    assert not torch.equal(glass[0], glass[1])


def test_glass_blur_moves_all_channels_together_and_rows_apart_from_columns():
    gray = wide(20)[:, :1].expand(-1, 3, -1, -1)
    glass = corruptions.glass_blur(gray, 0.3, 2, 1, torch.Generator().manual_seed(0))
    assert torch.allclose(glass[:, 0], glass[:, 2])
    images = coordinates(20, 30, 32)
    offsets = (corruptions.glass_blur(images, 1e-3, 2, 1, torch.Generator().manual_seed(0)) - images)[..., 2:-2, 2:-2]
    correlation = np.corrcoef(offsets[:, 0].flatten(), offsets[:, 1].flatten())[0, 1]
    assert abs(correlation) < 0.05


@pytest.mark.parametrize(("side", "length", "sigma"), [(32, 3, 2.0), (32, 2.5, 1.0), (64, 1.5, 1.0)])
def test_directional_blur_is_a_trail_of_gaussian_weights(side, length, sigma):
    scale = side / 32
    steps = np.arange(math.ceil(length * scale) + 1)
    weights = norm.pdf(steps, scale=sigma * scale)
    right, down = corruptions.directional_blur(
        point(8, 10, n=2, width=side), torch.tensor([0, math.pi / 2]), length, sigma
    )
    expected = np.zeros(6)
    expected[1 : len(steps) + 1] = weights / weights.sum()
    assert right[0, 8, 9:15].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert down[2, 7:13, 10].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert [float(image.sum()) for image in (right, down)] == pytest.approx([3, 3], abs=1e-3)


def test_motion_blur_draws_angles_within_45_degrees_of_the_horizontal():
    """Away from borders, a translation moves the center of mass along the angle."""
    smeared = corruptions.motion_blur(point(n=300), 6, 3, torch.Generator().manual_seed(2))[:, 0]
    down = (smeared.sum(2) * torch.arange(33)).sum(1) - 16
    right = (smeared.sum(1) * torch.arange(32)).sum(1) - 16
    angles = np.arctan2(down.numpy(), right.numpy())
    assert np.abs(angles).max() <= math.pi / 4 + 1e-4
    assert kstest(angles, "uniform", (-math.pi / 4, math.pi / 2)).pvalue > 0.01


@given(st.tuples(*[st.floats(0, 1, width=32)] * 3), st.sampled_from([0.05, 0.3, 0.7]))
def test_brightness_adds_to_the_value_in_hsv(color, amount):
    hue, saturation, value = colorsys.rgb_to_hsv(*color)
    expected = colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + amount))
    image = torch.tensor(color).view(1, 3, 1, 1)
    if value == 0 or value > 1e-5:
        assert corruptions.brightness(image, amount).flatten().tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("quality", [40, 80])
def test_jpeg_compression_equals_pillow(quality):
    pixels = shapes.render_shapes(3, seed=5).pixels
    ours = corruptions.jpeg_compression(torch.from_numpy(pixels).float() / 255, quality)
    for image, compressed in zip(pixels, ours, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=quality)
        reference = np.asarray(Image.open(buffer)).transpose(2, 0, 1)
        assert np.array_equal((compressed * 255).round().byte().numpy(), reference)


def test_jpeg_compression_clips_values_and_rounds_them():
    levels = torch.tensor([-0.5, 1.7, 100.4 / 255, 100.6 / 255]).view(4, 1, 1, 1).expand(4, 3, 16, 16)
    compressed = (255 * corruptions.jpeg_compression(levels, 95)).round()
    assert [image.unique().tolist() for image in compressed] == [[0], [255], [100], [101]]


def test_pixelate_assigns_a_pixel_on_an_edge_to_the_first_block():
    """Five pixels in two blocks: the edge is at the center of the third pixel. Rows are as columns."""
    line = torch.tensor([0.0, 3, 6, 1, 2])
    expected = [3, 3, 1.5, 1.5, 1.5]
    across = corruptions.pixelate(line.expand(1, 3, 7, 5), 0.5)
    down = corruptions.pixelate(line[:, None].expand(1, 3, 5, 7), 0.5)
    assert all(row.tolist() == pytest.approx(expected) for row in across[0, 0])
    assert all(column.tolist() == pytest.approx(expected) for column in down[0, 0].T)


def test_pixelate_keeps_at_least_one_block():
    images = wide()
    means = images.mean((2, 3), keepdim=True).expand_as(images)
    assert torch.allclose(corruptions.pixelate(images, 0.01), means, atol=1e-5)


def elastic_offsets(n, height, width, *constants, seed=0):
    """Return the offsets in pixels of an elastic transform, (n, 2, height, width); at the borders, NaN."""
    images = coordinates(n, height, width)
    warped = corruptions.elastic_transform(images, *constants, torch.Generator().manual_seed(seed))
    offsets = (warped - images)[:, :2].numpy()
    margin = 4
    inner = np.full_like(offsets, np.nan)
    inside = np.s_[:, :, margin:-margin, margin:-margin]
    inner[inside] = offsets[inside]
    return inner


def test_elastic_transform_without_strength_moves_three_corners_uniformly():
    height, width, skew = 24, 40, 0.03  # at the fourth corner, the offset is at most 3.6 pixels
    offsets = elastic_offsets(200, height, width, 0, 0, skew)
    rows, columns = np.mgrid[:height, :width]
    basis = np.stack([np.ones((height, width)), (columns + 0.5) / width, (rows + 0.5) / height], 2)
    inside = ~np.isnan(offsets[0, 0])
    corners = []
    for field in offsets.reshape(-1, height, width):
        (corner, to_right, down), residual, *_ = np.linalg.lstsq(basis[inside], field[inside], rcond=None)
        assert residual[0] < 1e-3
        corners.append((corner, corner + to_right, corner + down))
    reach = skew * width
    assert np.abs(corners).max() <= reach * 1.01
    for values in np.transpose(corners):
        assert kstest(values, "uniform", (-reach, 2 * reach)).pvalue > 0.01
    assert np.abs(np.corrcoef(np.transpose(corners)) - np.eye(3)).max() < 0.15


@pytest.mark.parametrize(
    ("height", "width", "strength", "sigma", "reach"),
    [(24, 40, 0.05, 0.04, 5), (13, 24, 0.2, 0.2, 12), (24, 13, 0.2, 0.4, 12), (16, 16, 0.1, 0.01, 1)],
)
def test_elastic_transform_displaces_by_a_smoothed_uniform_field(height, width, strength, sigma, reach):
    ours = elastic_offsets(3, height, width, strength, sigma, 0.0, seed=7)
    generator = torch.Generator().manual_seed(7)
    torch.rand(3, 3, 2, 1, generator=generator)  # the corners, which do not move
    uniform = 2 * torch.rand(2, 3, height, width, generator=generator).numpy() - 1
    smooth = gaussian_filter(uniform, (0, 0, sigma * width, sigma * width), mode="mirror", radius=(0, 0, reach, reach))
    expected = np.where(np.isnan(ours), np.nan, strength * width * smooth.transpose(1, 0, 2, 3))
    assert ours == pytest.approx(expected, abs=2e-3, nan_ok=True)


def scipy_noise(n, height, width, decay, generator):
    """Sum octaves of random patches, each enlarged by SciPy."""
    total = np.zeros((n, 1, height, width))
    for octave in range(1, 20):
        if 2 ** (octave - 1) >= max(height, width):
            break
        patches = torch.rand(n, 1, 2**octave, 2**octave, generator=generator).numpy()
        factors = (1, 1, height / 2**octave, width / 2**octave)
        total += ndimage.zoom(patches, factors, order=1, mode="nearest", grid_mode=True) / decay**octave
    lowest, highest = total.min((2, 3), keepdims=True), total.max((2, 3), keepdims=True)
    return (total - lowest) / (highest - lowest)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 32), (24, 40), (32, 8)])
def test_fractal_noise_is_a_sum_of_octaves(height, width):
    images = wide(3, height, width)
    ours = corruptions.fractal_noise(images, 1.7, torch.Generator().manual_seed(3)).numpy()
    assert ours == pytest.approx(scipy_noise(3, height, width, 1.7, torch.Generator().manual_seed(3)), abs=1e-4)
    assert (ours.min((1, 2, 3)) == 0).all()
    assert ours.max((1, 2, 3)) == pytest.approx(1)


def test_fog_keeps_the_brightest_value_where_the_cloud_is_densest():
    images = torch.tensor([0.4, 0.8]).view(2, 1, 1, 1).expand(2, 3, 16, 16)
    cloud = scipy_noise(2, 16, 16, 2.5, torch.Generator().manual_seed(3))
    foggy = corruptions.fog(images, 0.75, 2.5, torch.Generator().manual_seed(3)).numpy()
    assert foggy.max((1, 2, 3)) == pytest.approx([0.4, 0.8], abs=1e-5)
    # 0.4 * 0.4 / (0.4 + 0.75) without a cloud, 0.4 in the densest one, and linear between them
    assert foggy[0, 1] == pytest.approx(0.16 / 1.15 + (0.4 - 0.16 / 1.15) * cloud[0, 0], abs=1e-4)


def test_frost_is_added_to_the_scaled_image_in_the_color_of_ice():
    images = wide(2)

    def frosted(image_weight, frost_weight):
        return corruptions.frost(images, image_weight, frost_weight, torch.Generator().manual_seed(1)).numpy()

    ice = frosted(0, 1)
    assert frosted(0.9, 0.4) == pytest.approx(0.9 * images.numpy() + 0.4 * ice, abs=1e-5)
    assert ice[:, 0] == pytest.approx(0.75 * ice[:, 2], abs=1e-5)
    assert ice[:, 1] == pytest.approx(0.88 * ice[:, 2], abs=1e-5)


def test_frost_has_veins_where_the_cloud_has_its_mean():
    ice = corruptions.frost(wide(4), 0, 1, torch.Generator().manual_seed(1)).numpy()[:, 2:]
    cloud = scipy_noise(4, 20, 32, 1.6, torch.Generator().manual_seed(1))
    distance = np.abs(cloud - cloud.mean((2, 3), keepdims=True))
    # 1 at a distance of 0, 0.35 + 0.65 / 4 halfway, and 0.35 from 0.25 on
    places, heights = np.linspace(0, 0.25, 501), 0.35 + 0.65 * np.linspace(1, 0, 501) ** 2
    assert ice == pytest.approx(np.interp(distance, places, heights), abs=1e-3)
    assert (distance > 0.25).any()


NO_FLAKES = (0, 0, 1, 0.6, 4, 2)


def test_snow_without_flakes_whitens_dark_pixels():
    """Luma 0.36344 and 0.2942: whitened to at least 1.5 luma + 0.5, with a weight of 0.2."""
    colors = torch.tensor([[0.2, 0.4, 0.6], [0.984, 0.0, 0.0]]).view(2, 3, 1, 1).expand(2, 3, 8, 8)
    white = corruptions.snow(colors, *NO_FLAKES, 0.8, torch.Generator().manual_seed(0))
    first, second = (image[:, 0, 0].tolist() for image in white)
    light = 1.5 * (0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6) + 0.5
    assert first == pytest.approx([0.8 * value + 0.2 * light for value in (0.2, 0.4, 0.6)], abs=1e-5)
    light = 1.5 * 0.299 * 0.984 + 0.5
    assert second == pytest.approx([0.984, 0.2 * light, 0.2 * light], abs=1e-5)


def test_snow_flakes_are_blurred_noise_above_the_threshold_and_its_mirror_image():
    mean, std, threshold, length, sigma = 0.2, 0.3, 0.5, 4, 2
    generator, noise_generator = (torch.Generator().manual_seed(9) for _ in range(2))
    ours = corruptions.snow(torch.zeros(3, 3, 20, 32), mean, std, 1.25, threshold, length, sigma, 1, generator).numpy()
    noise = mean + std * torch.randn(3, 1, 20, 32, generator=noise_generator)
    flakes = scipy_zoom(noise, 1.25)[:, 0]
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
    angles = np.deg2rad(45 + 90 * torch.rand(3, generator=noise_generator).numpy())
    weights = norm.pdf(np.arange(length + 1), scale=sigma)
    for image, flake, angle in zip(ours, flakes, angles, strict=True):
        trail = sum(
            weight * ndimage.shift(flake, (step * np.sin(angle), step * np.cos(angle)), order=1, mode="reflect")
            for step, weight in enumerate(weights / weights.sum())
        )
        assert image == pytest.approx(np.broadcast_to(trail + trail[::-1, ::-1], image.shape), abs=1e-3)


@pytest.mark.parametrize(("mean", "expected"), [(0.59, 0.0), (0.6, 1.2), (0.7, 1.4), (3.0, 2.0), (-3.0, 0.0)])
def test_snow_keeps_flakes_from_the_threshold_on_and_clips_them(mean, expected):
    snow = corruptions.snow(torch.zeros(1, 3, 8, 8), mean, 0, 1, 0.6, 4, 2, 1, torch.Generator())
    assert snow.numpy() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_corruption_applies_the_constants_of_its_severity_and_clips(severity):
    gray = torch.full((1, 3, 8, 8), 0.8)
    amount = PUBLISHED["brightness"][severity - 1]
    brighter = corrupted("brightness", gray, severity)
    assert brighter.unique().tolist() == pytest.approx([min(1.0, 0.8 + amount)])
    noisy = corrupted("gaussian noise", torch.full((1, 3, 8, 8), 0.99), severity)
    assert float(noisy.max()) == 1


def test_the_description_is_the_first_line_of_the_docstring():
    assert CORRUPTIONS["pixelate"].description == (
        "Shrink to `fraction` of the rows and columns with a box filter, and enlarge again."
    )
    assert corruptions.Corruption(lambda images: images, ((),) * 5, is_random=False).description == ""


def test_gaussian_noise_is_normal_and_independent_between_channels():
    noise = corruptions.gaussian_noise(torch.zeros(40, 3, 16, 16), 0.5, torch.Generator().manual_seed(0)).numpy()
    assert kstest(noise.ravel(), "norm", (0, 0.5)).pvalue > 0.01
    assert np.abs(np.corrcoef(noise.transpose(1, 0, 2, 3).reshape(3, -1)) - np.eye(3)).max() < 0.03


def test_impulse_noise_leaves_the_other_values_unchanged():
    images = 0.25 + 0.5 * wide(20)
    noisy = corruptions.impulse_noise(images, 0.2, torch.Generator().manual_seed(0))
    changed = noisy != images
    assert set(noisy[changed].unique().tolist()) == {0.0, 1.0}
    assert float(changed.float().mean()) == pytest.approx(0.2, abs=0.01)
