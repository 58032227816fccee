"""Excluded images leave the training and validation splits; all other images keep their split."""

import numpy as np
import pytest

from tinysight._util.errors import DataError
from tinysight.data.dataset import Dataset, Split
from tinysight.data.load import load
from tinysight.data.splits import split_dataset
from tinysight.recipes import loading


@pytest.fixture
def excluding(tmp_path):
    """Return a function from image ids to the data section of a recipe that excludes them."""

    def make(*names):
        path = tmp_path / "list.csv"
        path.write_text("image\n" + "".join(f"{name}\n" for name in names))
        return loading.load_recipe("simple", [f"data.exclude_file={path}", "data.split=stratified"]).data

    return make


@pytest.fixture(scope="module")
def shapes():
    return load("shapes:train=100,test=30")


def test_excluded_images_are_removed_from_both_splits(shapes, excluding):
    whole = split_dataset(shapes, loading.load_recipe("simple", ["data.split=stratified"]).data, seed=0)
    held_back = sorted(set(range(100)) - set(whole.train_indices.tolist()))
    excluded = [whole.train_indices[0], whole.train_indices[-1], held_back[2]]
    images = split_dataset(shapes, excluding(*(f"train/{index}" for index in excluded)), seed=0)

    assert images.train_indices.tolist() == whole.train_indices[1:-1].tolist()
    kept = [index for index in held_back if index != held_back[2]]
    assert np.array_equal(images.validation.pixels, shapes.train.pixels[kept])


def test_excluding_test_images_changes_nothing(shapes, excluding):
    whole = split_dataset(shapes, loading.load_recipe("simple", ["data.split=stratified"]).data, seed=0)
    assert np.array_equal(split_dataset(shapes, excluding("test/3"), seed=0).train_indices, whole.train_indices)


def test_files_are_excluded_from_a_validation_folder_too(excluding):
    pixels, labels = np.zeros((3, 3, 32, 32), np.uint8), np.array([0, 1, 0])
    train = Split(pixels, labels, ("train/a/1.png", "train/b/2.png", "train/a/3.png"))
    validation = Split(pixels, labels, ("val/a/1.png", "val/b/2.png", "val/a/3.png"))
    dataset = Dataset("pets", train, train, ("a", "b"), "a folder", validation)
    images = split_dataset(dataset, excluding("train/b/2.png", "val/a/3.png"), seed=0)
    assert images.train_indices.tolist() == [0, 2]
    assert images.validation.files == ("val/a/1.png", "val/b/2.png")


def test_unknown_images_are_rejected_by_name(shapes, excluding):
    with pytest.raises(DataError, match=r"list\.csv: images not in shapes: train/100"):
        split_dataset(shapes, excluding("train/3", "train/100"), seed=0)


def test_an_empty_split_is_rejected(shapes, excluding):
    with pytest.raises(DataError, match=r"list\.csv: no training or no validation images are left"):
        split_dataset(shapes, excluding(*(f"train/{index}" for index in range(100))), seed=0)
