from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from tinysight.augmentation.config import Augmentation


def test_everything_is_off_by_default():
    config = Augmentation()
    assert [value for value in config.model_dump().values() if value] == [config.fill_mode] == ["nearest"]


def test_integers_are_accepted_as_floats():
    assert Augmentation(rotation=40).rotation == 40.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rotation", -1),
        ("rotation", 181),
        ("rotation", "40"),
        ("rotation", True),
        ("rotation", float("nan")),
        ("rotation", float("inf")),
        ("width_shift", 1),
        ("height_shift", -0.1),
        ("shear", 90),
        ("zoom", 1),
        ("horizontal_flip", 1),
        ("fill_mode", "wrap"),
        ("crop_padding", 1.5),
        ("crop_padding", -1),
        ("crop_padding", 513),
        ("cutout", True),
        ("cutout", 513),
        ("brightness", 1.1),
        ("contrast", -0.1),
        ("saturation", 2),
        ("vertical_flip", True),
    ],
)
def test_out_of_range_mistyped_and_unknown_settings_are_rejected(key, value):
    with pytest.raises(ValidationError, match=key):
        Augmentation.model_validate({key: value})


@pytest.mark.parametrize("value", [-1, 256])
def test_fill_value_is_a_gray_level(value):
    with pytest.raises(ValidationError, match="fill_value"):
        Augmentation(fill_mode="constant", fill_value=value)


def test_fill_value_without_constant_fill_is_rejected():
    with pytest.raises(ValidationError, match=r'fill_value needs fill_mode = "constant"\. Set fill_mode'):
        Augmentation(fill_mode="reflect", fill_value=10)


def test_every_setting_has_a_description():
    assert all(field.description for field in Augmentation.model_fields.values())


def test_config_and_describe_do_not_import_torch():
    code = "import sys, tinysight.augmentation.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_two_flip_settings_exclude_each_other():
    with pytest.raises(ValidationError, match="horizontal_flip and alternating_flip exclude each other"):
        Augmentation(horizontal_flip=True, alternating_flip=True)


@pytest.mark.parametrize(
    ("flips", "expected"),
    [
        ({}, {}),
        ({"horizontal_flip": True}, {"horizontal_flip": True}),
        ({"alternating_flip": True}, {"horizontal_flip": True}),
    ],
)
def test_alternating_flips_become_random_outside_of_epochs(flips, expected):
    assert Augmentation(zoom=0.1, **flips).with_random_flips() == Augmentation(zoom=0.1, **expected)
