from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from tinysight.augmentation.config import Augmentation


def test_everything_is_off_by_default():
    off = Augmentation().model_dump()
    assert off.pop("fill") == "nearest"
    assert not any(off.values())


def test_whole_numbers_are_accepted_where_fractions_are():
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
        ("fill", "wrap"),
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
def test_values_outside_bounds_of_wrong_type_or_unknown_name_are_refused(key, value):
    with pytest.raises(ValidationError, match=key):
        Augmentation.model_validate({key: value})


@pytest.mark.parametrize("value", [-1, 256])
def test_fill_value_is_a_grey_level(value):
    with pytest.raises(ValidationError, match="fill_value"):
        Augmentation.model_validate({"fill": "constant", "fill_value": value})


def test_a_fill_value_without_constant_fill_is_refused():
    with pytest.raises(ValidationError, match='only used with fill = "constant"'):
        Augmentation(fill="reflect", fill_value=10)


def test_every_setting_says_what_it_does():
    assert all(field.description for field in Augmentation.model_fields.values())


def test_settings_are_read_and_described_without_loading_torch():
    code = "import sys, tinysight.augmentation.describe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_there_is_one_way_to_flip():
    with pytest.raises(ValidationError, match="two ways to do one thing"):
        Augmentation(horizontal_flip=True, alternating_flip=True)


@pytest.mark.parametrize(
    ("flips", "by_chance"),
    [
        ({}, {}),
        ({"horizontal_flip": True}, {"horizontal_flip": True}),
        ({"alternating_flip": True}, {"horizontal_flip": True}),
    ],
)
def test_without_epochs_chance_decides_about_flips(flips, by_chance):
    assert Augmentation(zoom=0.1, **flips).by_chance() == Augmentation(zoom=0.1, **by_chance)
