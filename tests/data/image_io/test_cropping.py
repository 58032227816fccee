"""Crops equal the same crop and resize done with Pillow."""

import numpy as np
import pytest
from PIL import Image

from tinysight.data.crops import CENTER_CROP, SIX_CROP, Crop
from tinysight.data.image_io import read_crops, read_image, to_crops, to_pixels
from tinysight.data.image_io.image_file import extract_crops

SIZE = (32, 32)


def noise(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def resized(image, box):
    return np.asarray(image.resize(SIZE, Image.Resampling.LANCZOS, box)).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("look", "box"),
    [
        (Crop(), (40, 0, 120, 80)),
        (Crop(position=0.0), (0, 0, 80, 80)),
        (Crop(position=1.0), (80, 0, 160, 80)),
        (Crop(margin=0.125), (50, 10, 110, 70)),
        (Crop(margin=0.25, position=0.0), (40, 20, 80, 60)),
    ],
)
def test_a_crop_is_a_square_of_the_image(look, box):
    image = noise(160, 80)
    assert np.array_equal(extract_crops(image, SIZE, (look,))[0], resized(image, box))


@pytest.mark.parametrize(("side", "differs"), [(32, False), (42, False), (43, True), (400, True)])
def test_crops_that_would_be_enlarged_repeat_the_first(side, differs):
    first, second = extract_crops(noise(side, 2 * side), SIZE, (Crop(), Crop(margin=0.125)))
    assert (not np.array_equal(first, second)) == differs


def test_the_first_crop_equals_read_image(tmp_path):
    noise(100, 90).save(tmp_path / "a.png")
    first, *rest = read_crops(tmp_path / "a.png", SIZE, SIX_CROP)
    assert np.array_equal(first, read_image(tmp_path / "a.png", SIZE))
    assert not any(np.array_equal(first, crop) for crop in rest)


@pytest.mark.parametrize("form", ["paths", "pillow", "arrays", "array"])
def test_images_in_memory_are_cropped_like_files(form, tmp_path):
    image = noise(100, 90)
    image.save(tmp_path / "a.png")
    array = np.asarray(image)
    images = {"paths": [tmp_path / "a.png"], "pillow": [image], "arrays": [array], "array": array[None]}[form]
    assert np.array_equal(to_crops(images, 32, SIX_CROP)[0], read_crops(tmp_path / "a.png", SIZE, SIX_CROP))
    assert np.array_equal(to_pixels(images, 32), to_crops(images, 32, CENTER_CROP)[:, 0])
