"""Arrays, Pillow images and paths give the same pixels."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinysight._util.errors import InputError, ShapeError
from tinysight.data.crops import CENTER_CROP, SIX_CROP
from tinysight.data.image_io import default_crops, read_image, to_crops, to_pixels
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
        ([object()], "Image 0: Unsupported type: "),
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


ACCEPTED = (
    "Pass uint8 images (0..255) of shape (n, height, width, 3) or (n, 3, height, width), or a list of paths, arrays or "
    "Pillow images."
)
SCALED = "Convert pixels of 0..1 with (X * 255).round().astype('uint8')."


def refusal_of(images, size=8):
    """Return the message with which images are refused."""
    with pytest.raises(InputError) as refusal:
        to_pixels(images, size)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 3)), f"Unsupported dtype: float64. {ACCEPTED} {SCALED}"),
        (np.zeros((2, 8, 8, 2), np.uint8), f"Unsupported shape: (2, 8, 8, 2). {ACCEPTED}"),
        (np.zeros((2, 4, 8, 8), np.uint8), f"Unsupported shape: (2, 4, 8, 8). {ACCEPTED}"),
        (np.zeros((2, 2, 8, 3, 1), np.uint8), f"Unsupported shape: (2, 2, 8, 3, 1). {ACCEPTED}"),
        (np.zeros((2, 5, 0, 1), np.uint8), f"Empty images: shape (2, 3, 5, 0). {ACCEPTED}"),
        (np.zeros(4, np.uint8), f"Unsupported shape: (4,). {ACCEPTED}"),
        ("cat.png", "'cat.png': a path, not a list of images. Pass ['cat.png']."),
        ([np.zeros((8, 8, 3), np.uint8), 3], f"Image 1: Unsupported type: int. {ACCEPTED}"),
        ([np.zeros((8, 8, 2), np.uint8)], f"Image 0: Unsupported shape: (1, 8, 8, 2). {ACCEPTED}"),
    ],
)
def test_unsupported_images_are_refused_with_the_supported_kinds(images, message):
    assert refusal_of(images) == message


@pytest.mark.parametrize(
    ("missing", "more"), [(1, ""), (2, " (1 more cannot be read.)"), (1001, " (1,000 more cannot be read.)")]
)
def test_the_first_unreadable_file_is_named_and_the_others_are_counted(photos, tmp_path, missing, more):
    files = [min(photos.rglob("*.png")), *(tmp_path / f"{number}.png" for number in range(missing))]
    assert refusal_of(files) == f"{tmp_path}/0.png: no such file. Check the path.{more}"


@pytest.mark.parametrize("shape", [(1, 8, 9), (3, 8, 9), (4, 8, 9), (8, 9, 1), (8, 9, 3), (8, 9, 4)])
def test_the_shape_of_a_single_image_is_refused(shape):
    assert refusal_of(np.zeros(shape, np.uint8)) == (
        f"Shape {shape}: one image, not a batch of images. Pass X[None] for one image, or X[:, None] for gray images."
    )


@pytest.mark.parametrize("shape", [(2, 8, 9), (5, 8, 9), (2, 8, 2), (2, 1, 8), (2, 3, 5), (2, 4, 5)])
def test_other_shapes_of_three_axes_are_gray_images(shape):
    gray = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = np.stack([to_pixels([Image.fromarray(image)], 8)[0] for image in gray])
    np.testing.assert_array_equal(to_pixels(gray, 8), expected)


def test_a_single_pillow_image_is_refused_with_a_fix():
    with pytest.raises(ShapeError) as refusal:
        to_crops(Image.new("RGB", (8, 8)), 8, CENTER_CROP)
    assert str(refusal.value) == "One image, not a list of images. Pass [image]."


def test_channels_last_is_preferred_if_both_axes_could_be_channels():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_pixels(images, 3), images.transpose(0, 3, 1, 2))
    gray = images[..., :1]
    np.testing.assert_array_equal(to_pixels(gray, 3), np.repeat(gray.transpose(0, 3, 1, 2), 3, axis=1))


@pytest.mark.parametrize(
    ("shape", "crops"),
    [
        ((5, 32, 32, 3), SIX_CROP),
        ((5, 3, 32, 32), SIX_CROP),
        ((5, 32, 32), SIX_CROP),
        ((32, 32), CENTER_CROP),
        ((32, 32, 3), CENTER_CROP),
        ((5, 32, 48, 3), CENTER_CROP),
        ((5, 3, 48, 32), CENTER_CROP),
        ((5, 33, 33, 3), CENTER_CROP),
        ((5, 31, 31), CENTER_CROP),
    ],
)
def test_arrays_of_exactly_the_size_suggest_six_crops_for_larger_images(shape, crops):
    assert default_crops(np.zeros(shape, np.uint8), 32) == crops


@pytest.mark.parametrize("images", [[], ["a.png"], [np.zeros((32, 32, 3), np.uint8)], None])
def test_lists_suggest_the_center_crop(images):
    assert default_crops(images, 32) == CENTER_CROP


@pytest.mark.parametrize("empty", [[], (), np.array([], dtype=object), pd.Series([], dtype=object)])
def test_no_images_give_an_empty_array_of_the_size(empty):
    crops = to_crops(empty, 24, SIX_CROP)
    assert crops.shape == (0, 6, 3, 24, 24)
    assert crops.dtype == np.uint8


@pytest.mark.parametrize("form", [lambda images: images, list, pillow_images])
def test_images_of_the_size_give_one_crop_or_repeat_it(pixels, form):
    crops = to_crops(form(pixels), 32, SIX_CROP)
    assert crops.shape[1] == (1 if form(pixels) is pixels else 6)
    for number in range(crops.shape[1]):
        np.testing.assert_array_equal(crops[:, number], pixels)


@pytest.mark.parametrize("order", ["channels first", "channels last", "gray", "read-only"])
def test_results_are_contiguous_and_writable(pixels, order):
    images = {
        "channels first": pixels,
        "channels last": pixels.transpose(0, 2, 3, 1),
        "gray": pixels[:, 0],
        "read-only": np.broadcast_to(pixels[:1], pixels.shape),
    }[order]
    result = to_pixels(images, 32)
    assert result.flags.c_contiguous
    assert result.flags.writeable


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    size=st.integers(1, 12),
    last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_arrays_equal_the_same_images_in_pillow(height, width, size, last, seed):
    images = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    expected = to_pixels([Image.fromarray(image) for image in images], size)
    channels_first = images.transpose(0, 3, 1, 2)
    if last or width in (1, 3):  # otherwise the last axis is taken for the channels
        np.testing.assert_array_equal(to_pixels(images, size), expected)
    else:
        np.testing.assert_array_equal(to_pixels(channels_first, size), expected)
