"""Transforms: the contract that each meets, their effects, and the description of their settings."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from tinysight._util.errors import InputError
from tinysight.augmentation.affine import horizontal_flip, sample_flips
from tinysight.augmentation.config import TRANSFORMS, Augmentation
from tinysight.augmentation.transform import LabelMixing
from tinysight.augmentation.transforms.color import Brightness, Contrast, Saturation, sample_color_factors
from tinysight.augmentation.transforms.erasing import MID_GRAY, cutout, sample_centers
from tinysight.augmentation.transforms.geometry import padded_crop, sample_crop_offsets

EXAMPLES = {
    "Affine": {"rotation": 30.0, "horizontal_flip": True},
    "Crop": {"crop_padding": 3},
    "Brightness": {"brightness": 0.4},
    "Contrast": {"contrast": 0.4},
    "Saturation": {"saturation": 0.4},
    "Cutout": {"cutout": 4},
    "Mixup": {"mixup": 1.0},
}
"""Settings that turn each transform on. A new transform adds a line here and its own tests."""


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def check_transform(kind, settings):
    """Check the contract of `Transform` for one class, with settings that turn it on."""
    assert not kind().is_active
    assert kind().describe() == ""
    assert all(field.description for field in kind.model_fields.values())
    transform = kind(**settings)
    assert transform.is_active
    assert transform.describe()
    assert Augmentation(**settings).transforms == (transform,)
    assert Augmentation(**settings).describe() == transform.describe()

    for height, width in ((12, 12), (9, 14)):
        images = torch.rand(16, 3, height, width, generator=seeded(1)) * 255
        before, generator = images.clone(), seeded(0)
        result = transform(images, generator)
        assert torch.equal(images, before)
        assert (result.shape, result.dtype) == (images.shape, torch.float32)
        assert ((result > -1e-3) & (result < 255.001)).all()
        assert not torch.equal(result, images)
        assert torch.equal(transform(images, seeded(0)), result)
        assert not torch.equal(transform(images, generator), result)
        assert transform(images[:0], seeded(0)).shape == (0, 3, height, width)
        if not issubclass(kind, LabelMixing):
            images[1:] = 0
            torch.testing.assert_close(transform(images, seeded(0))[0], result[0], atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", TRANSFORMS, ids=lambda kind: kind.__name__)
def test_a_transform_meets_the_contract(kind):
    check_transform(kind, EXAMPLES[kind.__name__])


def test_every_setting_belongs_to_one_transform():
    names = [name for kind in TRANSFORMS for name in kind.model_fields]
    assert names == list(Augmentation.model_fields)
    assert len(names) == len(set(names))
    assert sorted(EXAMPLES) == sorted(kind.__name__ for kind in TRANSFORMS)


def test_geometry_comes_before_color_and_color_before_erasing():
    every = {name: value for settings in EXAMPLES.values() for name, value in settings.items()}
    kinds = [type(transform).__name__ for transform in Augmentation(**every).transforms]
    assert kinds[:6] == ["Affine", "Crop", "Brightness", "Contrast", "Saturation", "Cutout"]


def test_the_random_draws_of_each_transform_follow_those_of_the_one_before():
    images, generator, every = torch.rand(8, 3, 12, 12) * 255, seeded(5), Augmentation(crop_padding=2, contrast=0.3)
    result = images
    for transform in every.transforms:
        result = transform(result, generator)
    rows, columns = torch.randint(0, 5, (2, 8), generator=(again := seeded(5)))
    factors = 1 + 0.3 * (2 * torch.rand(8, generator=again) - 1)
    assert torch.equal(result, Contrast.adjust(padded_crop(images, rows, columns, 2), factors))


def test_transforms_are_found_without_torch():
    code = "import sys, tinysight.augmentation.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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


JITTERS = [Brightness.adjust, Contrast.adjust, Saturation.adjust]


@pytest.mark.parametrize(
    ("ours", "pillow"),
    [
        (Brightness.adjust, ImageEnhance.Brightness),
        (Contrast.adjust, ImageEnhance.Contrast),
        (Saturation.adjust, ImageEnhance.Color),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_results_equal_pillow_up_to_rounding(images, ours, pillow, factor):
    rounded = images.to(torch.uint8)
    changed = ours(rounded.float(), torch.full((8,), factor))
    for result, image in zip(changed, rounded, strict=True):
        pil_image = Image.fromarray(image.permute(1, 2, 0).numpy())
        expected = np.asarray(pillow(pil_image).enhance(factor), dtype=float).transpose(2, 0, 1)
        np.testing.assert_allclose(result, expected, atol=2)


@pytest.mark.parametrize("change", JITTERS)
def test_each_image_uses_its_own_factor(images, change):
    factors = torch.linspace(0, 2, 8)
    batch = change(images, factors)
    for index in range(8):
        single = change(images[index : index + 1], factors[index : index + 1])
        torch.testing.assert_close(batch[index : index + 1], single)


@pytest.mark.parametrize("change", JITTERS)
def test_results_are_clamped_to_0_to_255(images, change):
    changed = change(images, torch.full((8,), 5.0))
    assert changed.min() >= 0
    assert changed.max() == 255


def test_saturation_does_not_change_a_gray_image(images):
    gray = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(Saturation.adjust(gray, torch.full((8,), 2.0)), gray, atol=1e-3, rtol=0)


def test_factors_cover_their_range(generator):
    factors = sample_color_factors(5000, 0.3, generator)
    assert 0.7 <= factors.min() < 0.71
    assert 1.29 < factors.max() <= 1.3
    assert abs(factors.mean() - 1) < 0.01


@pytest.mark.parametrize("padding", [1, 4, 11])
def test_crops_are_windows_of_the_padded_image(images, generator, padding):
    rows, columns = sample_crop_offsets(8, padding, generator)
    cropped = padded_crop(images, rows, columns, padding)
    for index, (row, column) in enumerate(zip(rows, columns, strict=True)):
        padded = np.pad(images[index].numpy(), [(0, 0), (padding, padding), (padding, padding)], mode="reflect")
        assert np.array_equal(cropped[index], padded[:, row : row + 12, column : column + 12])


def test_non_square_images_keep_their_shape(generator):
    images = torch.rand(5, 3, 10, 17)
    assert padded_crop(images, *sample_crop_offsets(5, 2, generator), padding=2).shape == images.shape


def test_the_center_crop_is_the_original_image(images):
    center = torch.full((8,), 3)
    assert torch.equal(padded_crop(images, center, center, padding=3), images)


def test_every_offset_is_equally_likely(generator):
    rows, columns = sample_crop_offsets(9000, 4, generator)
    for offsets in (rows, columns):
        counts = torch.bincount(offsets, minlength=9)
        assert len(counts) == 9
        assert ((counts > 880) & (counts < 1120)).all()


def test_too_much_padding_is_rejected_with_the_maximum(images):
    with pytest.raises(InputError, match=r"crop_padding is 12 pixels, but the images are 12 x 12\. Use at most 11"):
        padded_crop(images, torch.zeros(8).long(), torch.zeros(8).long(), padding=12)


def fill_square(images: torch.Tensor, row: int, column: int, side: int) -> torch.Tensor:
    n = len(images)
    return cutout(images, torch.full((n,), row), torch.full((n,), column), side)


def test_only_the_square_turns_gray(images):
    result = fill_square(images, row=5, column=7, side=4)
    expected = images.clone()
    expected[:, :, 3:7, 5:9] = MID_GRAY
    assert torch.equal(result, expected)


def test_an_odd_side_is_symmetric_around_the_center(images):
    expected = images.clone()
    expected[:, :, 4:7, 6:9] = MID_GRAY
    assert torch.equal(fill_square(images, row=5, column=7, side=3), expected)


@pytest.mark.parametrize(("corner", "window"), [((0, 0), (slice(2), slice(2))), ((11, 11), (slice(9, 12),) * 2)])
def test_squares_are_clipped_at_the_image_border(images, corner, window):
    expected = images.clone()
    expected[:, :, window[0], window[1]] = MID_GRAY
    assert torch.equal(fill_square(images, *corner, side=4), expected)


def test_each_image_has_its_own_square(images):
    result = cutout(images, torch.arange(8), torch.arange(8).flip(0), side=1)
    rows, columns = (result[:, 0] == MID_GRAY).nonzero()[:, 1:].T
    assert rows.tolist() == list(range(8))
    assert columns.tolist() == list(range(7, -1, -1))


def test_centers_cover_the_image(generator):
    rows, columns = sample_centers(3000, height=5, width=9, generator=generator)
    assert set(rows.tolist()) == set(range(5))
    assert set(columns.tolist()) == set(range(9))


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (Augmentation(), "none"),
        (
            Augmentation(rotation=40, width_shift=0.2, height_shift=0.2, shear=0.2, zoom=0.2, horizontal_flip=True),
            "rotation ±40°, shift ±0.2, shear ±0.2°, zoom 0.8 to 1.2, flip, fill nearest",
        ),
        (Augmentation(width_shift=0.1), "width shift ±0.1, fill nearest"),
        (Augmentation(height_shift=0.3, width_shift=0.1), "width shift ±0.1, height shift ±0.3, fill nearest"),
        (Augmentation(rotation=5, fill_mode="constant", fill_value=127.5), "rotation ±5°, fill constant 127.5"),
        (Augmentation(horizontal_flip=True, fill_mode="reflect"), "flip"),
        (Augmentation(alternating_flip=True), "alternating flip"),
        (
            Augmentation(crop_padding=4, cutout=8, brightness=0.1, contrast=0.2, saturation=0.3),
            "crop ±4 px, brightness ±0.1, contrast ±0.2, saturation ±0.3, cutout 8 px",
        ),
    ],
)
def test_the_description_lists_exactly_the_active_settings(config, line):
    assert config.describe() == line


def test_every_setting_appears_in_the_description():
    every = {name: value for settings in EXAMPLES.values() for name, value in settings.items()}
    affine = {"rotation": 1, "width_shift": 0.1, "height_shift": 0.2, "shear": 3, "zoom": 0.4, "horizontal_flip": True}
    config = Augmentation(**every | affine)
    words = config.describe().replace(" shift", "_shift")
    for name in Augmentation.model_fields.keys() - {"alternating_flip"}:  # excluded by horizontal_flip
        stem = name.removeprefix("horizontal_").removesuffix("_padding").removesuffix("_value").removesuffix("_mode")
        assert stem in words
