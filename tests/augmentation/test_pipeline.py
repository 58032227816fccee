from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinysight._util.errors import InputError
from tinysight.augmentation.config import Augmentation
from tinysight.augmentation.pipeline import build_augmentation

fractions = st.sampled_from([0.0, 0.2, 0.9])
configs = st.builds(
    Augmentation,
    rotation=st.sampled_from([0.0, 40.0, 180.0]),
    width_shift=fractions,
    height_shift=fractions,
    shear=st.sampled_from([0.0, 0.2, 60.0]),
    zoom=fractions,
    horizontal_flip=st.booleans(),
    fill_mode=st.sampled_from(["nearest", "reflect", "constant"]),
    crop_padding=st.integers(0, 4),
    cutout=st.integers(0, 12),
    brightness=fractions,
    contrast=fractions,
    saturation=fractions,
)
sizes = st.integers(5, 12)
seeds = st.integers(0, 2**32)

EVERYTHING = Augmentation(
    rotation=40, width_shift=0.2, height_shift=0.2, shear=10, zoom=0.2, horizontal_flip=True, crop_padding=2,
    cutout=3, brightness=0.2, contrast=0.2, saturation=0.2,
)  # fmt: skip


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels(n: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=seeded(n))


@given(config=configs, n=st.integers(0, 4), height=sizes, width=sizes, seed=seeds)
def test_results_are_float_images_of_the_same_shape_within_0_to_255(config, n, height, width, seed):
    result = build_augmentation(config)(pixels(n, height, width), seeded(seed))
    assert result.shape == (n, 3, height, width)
    assert result.dtype == torch.float32
    assert ((result > -1e-3) & (result < 255.001)).all()


@given(config=configs, seed=seeds)
def test_the_same_seed_gives_the_same_images(config, seed):
    batch = pixels(3, 8, 9)
    assert torch.equal(build_augmentation(config)(batch, seeded(seed)), build_augmentation(config)(batch, seeded(seed)))


@given(config=configs, seed=seeds)
def test_an_image_does_not_depend_on_the_others_in_its_batch(config, seed):
    batch = pixels(4, 8, 8)
    changed = batch.clone()
    changed[:3] = 0
    expected, actual = (build_augmentation(config)(images, seeded(seed))[3] for images in (batch, changed))
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=0)


@given(config=configs)
def test_the_input_batch_is_not_modified(config):
    batch = pixels(2, 8, 8).float()
    before = batch.clone()
    build_augmentation(config)(batch, seeded(0))
    assert torch.equal(batch, before)


@pytest.mark.parametrize("fill", ["nearest", "reflect", "constant"])
def test_without_transforms_the_pixels_do_not_change(fill):
    batch, generator = pixels(5, 9, 7), seeded(0)
    before = generator.get_state()
    assert torch.equal(build_augmentation(Augmentation(fill_mode=fill))(batch, generator), batch.float())
    assert torch.equal(generator.get_state(), before)


def test_uint8_and_float_images_give_the_same_result():
    batch = pixels(5, 9, 7)
    augment = build_augmentation(EVERYTHING)
    assert torch.equal(augment(batch, seeded(1)), augment(batch.float(), seeded(1)))


def test_draws_are_independent_per_image():
    copies = build_augmentation(EVERYTHING)(pixels(1, 12, 12).expand(20, -1, -1, -1), seeded(0))
    assert len({tuple(copy.flatten().tolist()) for copy in copies}) == 20


def test_a_second_call_uses_new_random_draws():
    generator, batch = seeded(0), pixels(4, 12, 12)
    augment = build_augmentation(EVERYTHING)
    assert not torch.equal(augment(batch, generator), augment(batch, generator))


@pytest.mark.parametrize(
    "settings",
    [
        {"rotation": 30},
        {"width_shift": 0.2},
        {"height_shift": 0.2},
        {"shear": 20},
        {"zoom": 0.3},
        {"horizontal_flip": True},
        {"crop_padding": 2},
        {"cutout": 3},
        {"brightness": 0.3},
        {"contrast": 0.3},
        {"saturation": 0.3},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_every_setting_changes_the_images(settings):
    batch = pixels(8, 12, 12)
    assert not torch.equal(build_augmentation(Augmentation(**settings))(batch, seeded(0)), batch.float())


def test_a_flip_without_affine_map_is_exact():
    batch = pixels(8, 12, 12).float()
    flipped = build_augmentation(Augmentation(horizontal_flip=True))(batch, seeded(0))
    unchanged, mirrored = ((flipped == images).all(dim=(1, 2, 3)) for images in (batch, batch.flip(3)))
    assert (unchanged | mirrored).all()
    assert unchanged.any()
    assert mirrored.any()


def test_a_flip_with_affine_map_flips_half_of_the_images():
    ramp = torch.arange(12.0).expand(400, 3, 12, 12)
    augmented = build_augmentation(Augmentation(rotation=1, horizontal_flip=True))(ramp, seeded(0))
    flipped_fraction = (augmented[:, 0, 6, 0] > augmented[:, 0, 6, -1]).float().mean()
    assert 0.4 < flipped_fraction < 0.6


def test_the_fill_value_reaches_the_corners():
    white = torch.full((6, 3, 12, 12), 255.0)
    rotated = build_augmentation(Augmentation(rotation=180, fill_mode="constant", fill_value=40))(white, seeded(0))
    assert rotated.min() == 40


def test_too_much_crop_padding_is_an_input_error():
    with pytest.raises(InputError, match="crop_padding"):
        build_augmentation(Augmentation(crop_padding=9))(pixels(2, 8, 8), seeded(0))
