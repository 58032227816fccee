from __future__ import annotations

import pytest

from tinysight.augmentation.config import Augmentation, describe_augmentation


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
    assert describe_augmentation(config) == line


def test_every_setting_appears_in_the_description():
    config = Augmentation(
        rotation=1, width_shift=0.1, height_shift=0.2, shear=3, zoom=0.4, horizontal_flip=True, crop_padding=5,
        cutout=6, brightness=0.7, contrast=0.8, saturation=0.9,
    )  # fmt: skip
    words = describe_augmentation(config).replace(" shift", "_shift")
    for name in Augmentation.model_fields.keys() - {"alternating_flip"}:  # excluded by horizontal_flip
        stem = name.removeprefix("horizontal_").removesuffix("_padding").removesuffix("_value").removesuffix("_mode")
        assert stem in words
