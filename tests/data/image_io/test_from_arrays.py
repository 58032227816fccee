"""Arrays, Pillow images and paths give the same pixels."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinysight._util.errors import InputError
from tinysight.data.image_io import read_image, to_pixels
from tinysight.data.sources import shapes


@pytest.fixture(scope="module")
def pixels():
    return shapes.render_shapes(6, seed=1).pixels


def pillow_images(pixels):
    return [Image.fromarray(array.transpose(1, 2, 0)) for array in pixels]


@pytest.mark.parametrize(
    "form",
    [
        lambda pixels: pixels,
        lambda pixels: pixels.transpose(0, 2, 3, 1),
        lambda pixels: list(pixels.transpose(0, 2, 3, 1)),
        lambda pixels: tuple(pixels),
        pillow_images,
    ],
)
def test_every_kind_gives_the_same_pixels(pixels, form):
    assert np.array_equal(to_pixels(form(pixels), 32), pixels)


@pytest.mark.parametrize("size", [16, 20, 48])
def test_arrays_images_and_files_are_resized_alike(pixels, size, tmp_path):
    files = []
    for number, image in enumerate(pillow_images(pixels)):
        files.append(tmp_path / f"{number}.png")
        image.save(files[-1])
    expected = np.stack([read_image(file, (size, size)) for file in files])
    for images in (pixels, pillow_images(pixels), files, [str(file) for file in files]):
        assert np.array_equal(to_pixels(images, size), expected)


@given(height=st.integers(8, 60), width=st.integers(8, 60), gray=st.booleans())
def test_any_height_and_width_is_cropped_to_the_size(height, width, gray):
    shape = (2, height, width) if gray else (2, height, width, 3)
    result = to_pixels(np.full(shape, 77, dtype=np.uint8), 32)
    assert result.shape == (2, 3, 32, 32)
    assert (result == 77).all()


def test_gray_images_are_the_same_in_every_channel(pixels):
    gray = pixels[:, 0]
    for form in (gray, gray[:, None], gray[..., None], gray_pillow_images(gray)):
        result = to_pixels(form, 32)
        assert np.array_equal(result, np.repeat(gray[:, None], 3, axis=1))


def gray_pillow_images(gray):
    return [Image.fromarray(array) for array in gray]


def test_an_empty_list_gives_no_pixels():
    assert to_pixels([], 24).shape == (0, 3, 24, 24)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 32, 32, 3)), r"Unsupported dtype: float64\. Pass uint8 images \(0\.\.255\)"),
        (np.zeros((2, 32, 32, 4), dtype=np.uint8), r"Unsupported shape: \(2, 32, 32, 4\)"),
        (np.zeros((2, 3072), dtype=np.uint8), r"Unsupported shape: \(2, 3072\)"),
        (np.zeros((2, 0, 32, 3), dtype=np.uint8), r"Empty images: shape \(2, 3, 0, 32\)"),
        ([np.zeros((32, 32, 3), dtype=np.uint8), np.zeros((32, 32, 3))], "Image 1: Unsupported dtype: float64"),
        ("cat.png", r"'cat.png': a path, not a list of images. Pass \['cat.png'\]"),
        (["none.png", "nothing.png"], r"none.png: no such file. Check the path. \(1 more cannot be read.\)"),
        ([object()], "Image 0: Unsupported dtype: object"),
    ],
)
def test_invalid_images_are_an_error(images, message):
    with pytest.raises(InputError, match=message):
        to_pixels(images, 32)


@pytest.mark.parametrize("shape", [(480, 640, 3), (3, 32, 32), (32, 32, 1), (4, 16, 16)])
def test_a_single_image_is_a_value_error(shape):
    with pytest.raises(ValueError, match=re.escape("Pass X[None] for one image")) as refusal:
        to_pixels(np.zeros(shape, np.uint8), 32)
    assert isinstance(refusal.value, InputError)


def test_a_single_pillow_image_is_a_value_error():
    with pytest.raises(ValueError, match=re.escape("Pass [image]")):
        to_pixels(Image.new("RGB", (32, 32)), 32)


def test_gray_images_of_any_number_are_taken():
    gray = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)
    expected = np.repeat(gray[:, None], 3, axis=1)
    assert np.array_equal(to_pixels(gray[:, None], 8), expected)
    assert np.array_equal(to_pixels(list(gray), 8), expected)
    assert np.array_equal(to_pixels(np.concatenate([gray, gray]), 8)[3:], expected)


@pytest.mark.parametrize("kind", [pd.Series, np.array, lambda paths: np.array([str(path) for path in paths])])
def test_series_and_arrays_of_paths_are_read_as_lists_are(kind, photos):
    paths = sorted(photos.rglob("*.png"))[::5]
    assert np.array_equal(to_pixels(kind(paths), 16), to_pixels(paths, 16))


def test_an_object_array_of_images_of_different_sizes():
    images = [np.full((8, 8, 3), 5, np.uint8), np.full((9, 12, 3), 7, np.uint8)]
    assert np.array_equal(to_pixels(pd.Series(images), 8), to_pixels(images, 8))
