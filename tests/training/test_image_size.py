"""Advice on the image size, from files of known sizes and made-up speeds."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tinysight.data.dataset import Dataset, Split
from tinysight.recipes import loading
from tinysight.training.image_size import advise

RECIPE = loading.load_recipe("fast")


@pytest.fixture
def dataset(tmp_path):
    """Return a function from the sizes of files to a dataset of them."""

    def make(*sizes):
        files = [f"{number}.png" for number in range(len(sizes))]
        for file, size in zip(files, sizes, strict=True):
            Image.new("RGB", size).save(tmp_path / file)
        split = Split(np.zeros((len(files), 3, 32, 32), np.uint8), np.zeros(len(files), np.int64), files=tuple(files))
        empty = Split(np.zeros((0, 3, 32, 32), np.uint8), np.zeros(0, np.int64))
        return Dataset("made", split, empty, ("a",), "made up", folder=tmp_path)

    return make


def test_files_of_twice_the_size_get_advice_with_figures(dataset):
    images = dataset((500, 375), (500, 375), (20, 2000))
    text = advise(images, RECIPE, {32: 426.2, 64: 101.0}.get)
    assert text == (
        "Image size: the files have 500x375 pixels (median), so a pixel of 32x32 covers 11.7x11.7 of theirs. The time "
        "allows about 426 epochs at 32x32, or 101 at 64x64. If the classes differ in small details, set "
        "data.image_size=64."
    )
    assert advise(images, RECIPE, {32: 60, 64: 15}.get).endswith("or 15 at 64x64. For 64x64, allow more time.")


@pytest.mark.parametrize("sizes", [[(32, 32)], [(63, 400)], [(400, 63), (400, 63), (400, 400)]])
def test_smaller_files_get_none_and_nothing_is_probed(dataset, sizes):
    assert advise(dataset(*sizes), RECIPE, None) == ""


def test_images_without_files_get_none(dataset):
    assert advise(replace(dataset((500, 500)), folder=None), RECIPE, None) == ""
