"""Images in memory become the same pixels, however they are handed over."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinysight.data import shapes
from tinysight.data.intake import read_image, to_pixels
from tinysight.errors import InputError


@pytest.fixture(scope="module")
def pixels():
    return shapes.draw(6, seed=1).pixels


def pictures(pixels):
    return [Image.fromarray(one.transpose(1, 2, 0)) for one in pixels]


@pytest.mark.parametrize(
    "form",
    [
        lambda pixels: pixels,
        lambda pixels: pixels.transpose(0, 2, 3, 1),
        lambda pixels: list(pixels.transpose(0, 2, 3, 1)),
        lambda pixels: tuple(pixels),
        pictures,
    ],
)
def test_every_form_gives_the_same_pixels(pixels, form):
    assert np.array_equal(to_pixels(form(pixels), 32), pixels)


@pytest.mark.parametrize("size", [16, 20, 48])
def test_arrays_pictures_and_files_are_resized_alike(pixels, size, tmp_path):
    files = []
    for number, picture in enumerate(pictures(pixels)):
        files.append(tmp_path / f"{number}.png")
        picture.save(files[-1])
    expected = np.stack([read_image(file, (size, size)) for file in files])
    for images in (pixels, pictures(pixels), files, [str(file) for file in files]):
        assert np.array_equal(to_pixels(images, size), expected)


@given(height=st.integers(8, 60), width=st.integers(8, 60), grey=st.booleans())
def test_any_height_and_width_is_cut_to_the_size(height, width, grey):
    shape = (2, height, width) if grey else (2, height, width, 3)
    found = to_pixels(np.full(shape, 77, dtype=np.uint8), 32)
    assert found.shape == (2, 3, 32, 32)
    assert (found == 77).all()


def test_grey_images_are_the_same_in_every_channel(pixels):
    grey = pixels[:, 0]
    for form in (grey, grey[:, None], grey[..., None], pictures_of_grey(grey)):
        found = to_pixels(form, 32)
        assert np.array_equal(found, np.repeat(grey[:, None], 3, axis=1))


def pictures_of_grey(grey):
    return [Image.fromarray(one) for one in grey]


def test_nothing_is_nothing():
    assert to_pixels([], 24).shape == (0, 3, 24, 24)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((2, 32, 32, 3)), "These images are of float64; give uint8 images of 0..255"),
        (np.zeros((2, 32, 32, 4), dtype=np.uint8), r"have the shape \(2, 32, 32, 4\)"),
        (np.zeros((2, 3072), dtype=np.uint8), r"have the shape \(2, 3072\)"),
        (np.zeros((2, 0, 32, 3), dtype=np.uint8), "there is nothing in them"),
        ([np.zeros((32, 32, 3), dtype=np.uint8), np.zeros((32, 32, 3))], "Image 1: These images are of float64"),
        ("cat.png", r"write \['cat.png'\]"),
        (["none.png", "nothing.png"], r"none.png does not exist; check the name. \(1 more cannot be read.\)"),
        ([object()], "Image 0: These images are of object"),
    ],
)
def test_whatever_is_no_image_is_refused_in_a_sentence(images, said):
    with pytest.raises(InputError, match=said):
        to_pixels(images, 32)
