"""Enlarged images and the table of class counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tinysight._util.errors import DataError, StorageError
from tinysight.data import display
from tinysight.data.dataset import Dataset, Split
from tinysight.data.sources import shapes


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return shapes.load_shapes(40, 20)


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_pixel_is_enlarged_ten_times(dataset, split):
    part = dataset.train if split == "train" else dataset.test
    drawn = np.asarray(display.captioned_image(dataset, 16, split))
    left = (drawn.shape[1] - 320) // 2
    enlarged = drawn[8 : 8 + 320, left : left + 320].transpose(2, 0, 1)
    np.testing.assert_array_equal(enlarged, part.pixels[16].repeat(10, axis=1).repeat(10, axis=2))


def test_the_caption_is_dark_on_white_and_differs_by_index(dataset):
    captions = [np.asarray(display.captioned_image(dataset, index, "test"))[328:] for index in (3, 4)]
    for caption in captions:
        assert (caption < 80).all(axis=2).sum() > 50
        assert (caption[[0, -1]] == 255).all()
    assert captions[0].shape != captions[1].shape or (captions[0] != captions[1]).any()


def test_a_long_class_name_widens_the_canvas(dataset):
    named = replace(dataset, class_names=tuple(name * 12 for name in dataset.class_names))
    image = np.asarray(display.captioned_image(named, 0, "train"))
    assert image.shape[1] > 400
    assert (image[:, [0, -1]] == 255).all()


@pytest.mark.parametrize("name", ["two\nlines", "half a pair \udce9", "Füße", "猫"])
def test_any_class_name_is_drawn(dataset, name):
    named = replace(dataset, class_names=(name, *dataset.class_names[1:]))
    zero = int(np.flatnonzero(dataset.train.labels == 0)[0])
    assert display.captioned_image(named, zero, "train").width >= 320


@pytest.mark.parametrize("index", [-1, 20, 10**9])
def test_an_index_out_of_range_is_an_error_with_the_range(dataset, index):
    with pytest.raises(DataError, match=rf"shapes: no test image {index}\. Choose an index from 0 to 19\."):
        display.captioned_image(dataset, index, "test")


def test_a_large_image_is_not_enlarged():
    part = Split(np.zeros((1, 3, 400, 500), np.uint8), np.zeros(1, np.int64))
    image = np.asarray(display.captioned_image(Dataset("folder", part, part, ("black",), "here"), 0, "train"))
    assert (image[8:408, 8:508] == 0).all()


def test_counts_per_class_and_split(dataset):
    assert display.counts_table(dataset)[0] == ("circle", 4, 0, 2)
    validated = replace(dataset, validation=dataset.test)
    assert [row.validation for row in display.counts_table(validated)] == [2] * 10


def test_images_are_written_as_png(dataset, tmp_path):
    image = display.captioned_image(dataset, 0, "train")
    display.save_png(image, tmp_path / "new" / "one.png")
    with Image.open(tmp_path / "new" / "one.png") as read:
        assert read.format == "PNG"
        np.testing.assert_array_equal(np.asarray(read), np.asarray(image))


def test_an_unwritable_path_is_a_storage_error(dataset, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="Cannot write"):
        display.save_png(display.captioned_image(dataset, 0, "train"), tmp_path / "file" / "one.png")


@pytest.mark.parametrize(("side", "factor"), [(1, 320), (100, 3), (160, 2), (161, 1), (320, 1), (321, 1)])
def test_images_are_enlarged_by_a_whole_factor_up_to_320_pixels(side, factor):
    part = Split(np.full((1, 3, side, side), 77, np.uint8), np.zeros(1, np.int64))
    drawn = np.asarray(display.captioned_image(Dataset("folder", part, part, ("a",), "here"), 0, "train"))
    assert drawn.shape[0] == side * factor + 18 + 4 * 8
    assert (drawn == 77).all(axis=2).sum() >= (side * factor) ** 2
    assert (drawn[8 : 8 + side * factor] == 77).all(axis=2).sum() == (side * factor) ** 2


def test_the_first_and_last_image_have_a_caption_and_an_empty_split_has_none(dataset):
    for index in (0, 39):
        assert display.captioned_image(dataset, index, "train").height == 320 + 50
    with pytest.raises(DataError) as refusal:
        display.captioned_image(dataset, 40, "train")
    assert str(refusal.value) == "shapes: no train image 40. Choose an index from 0 to 39."


def test_unprintable_characters_become_question_marks():
    assert display.replace_unprintable("two\nlines\t\udce9\x00 é猫") == "two?lines??? é猫"
