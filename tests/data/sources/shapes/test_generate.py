"""The `shapes` dataset: reproducible, balanced, and not solvable from color alone."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tinysight._util.errors import DataError
from tinysight.data.sources import shapes
from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.training.request import TrainConfig
from tinysight.training.session import Session


def test_images_are_bit_identical_to_the_recorded_hash():
    # A failure on a new machine or NumPy version means that the dataset is no longer portable.
    rendered = shapes.render_shapes(200, seed=7)
    labels = rendered.labels.astype("<i8")
    digest = hashlib.sha256(rendered.pixels.tobytes() + labels.tobytes() + rendered.masks.tobytes())
    assert digest.hexdigest() == "e1fb744a72333c74514aaabddc62cf9cbdbc6e679ce1a96666617ef443d5909b"


@given(st.integers(0, 250), st.integers(0, 250), st.integers(0, 2**40))
def test_an_image_does_not_depend_on_the_number_of_images(few, many, seed):
    few, many = sorted((few, many))
    prefix, images = shapes.render_shapes(few, seed, size=8), shapes.render_shapes(many, seed, size=8)
    np.testing.assert_array_equal(prefix.pixels, images.pixels[:few])
    np.testing.assert_array_equal(prefix.labels, images.labels[:few])
    np.testing.assert_array_equal(prefix.masks, images.masks[:few])


@given(st.integers(0, 333), st.integers(0, 2**40))
def test_classes_are_balanced_to_within_one(n, seed):
    counts = np.bincount(shapes.render_shapes(n, seed, size=8).labels, minlength=10)
    assert counts.max() - counts.min() <= 1


def test_classes_are_shuffled():
    groups = shapes.render_shapes(100, seed=0, size=8).labels.reshape(10, 10)
    assert len({tuple(group) for group in groups}) == 10


def test_seeds_and_splits_share_no_image():
    dataset, other = shapes.load_shapes(200, 200, seed=1), shapes.load_shapes(200, 200, seed=2)
    parts = (dataset.train, dataset.test, other.train, other.test)
    assert len({image.tobytes() for part in parts for image in part.pixels}) == 800


@pytest.mark.parametrize("size", [8, 32, 45])
def test_arrays_have_the_documented_types_and_shapes(size):
    rendered = shapes.render_shapes(12, seed=0, size=size)
    assert (rendered.pixels.dtype, rendered.pixels.shape) == (np.uint8, (12, 3, size, size))
    assert (rendered.labels.dtype, rendered.labels.shape) == (np.int64, (12,))
    assert (rendered.masks.dtype, rendered.masks.shape) == (np.bool_, (12, size, size))


def test_each_size_shows_the_same_scenes():
    small, large = shapes.render_shapes(50, seed=3, size=32), shapes.render_shapes(50, seed=3, size=64)
    np.testing.assert_array_equal(small.labels, large.labels)
    halved = large.masks.reshape(50, 32, 2, 32, 2).mean(axis=(2, 4)) > 0.5
    assert (halved == small.masks).mean() > 0.97


def test_masks_cover_the_lighter_shape():
    rendered = shapes.render_shapes(500, seed=0)
    areas = rendered.masks.mean(axis=(1, 2))
    assert areas.min() > 0.06
    assert areas.max() < 0.42
    lighter = _mean_colors(rendered, rendered.masks).max(axis=1) > _mean_colors(rendered, ~rendered.masks).max(axis=1)
    assert lighter.mean() > 0.97


@pytest.mark.parametrize("inside", [True, False], ids=["shape", "background"])
def test_the_mean_color_does_not_predict_the_class(inside):
    rendered = shapes.render_shapes(4000, seed=0)
    colors = _mean_colors(rendered, rendered.masks == inside)
    classifier = LogisticRegression(max_iter=1000).fit(colors[:3000], rendered.labels[:3000])
    assert classifier.score(colors[3000:], rendered.labels[3000:]) < 0.15


def test_the_dataset_describes_itself():
    dataset = shapes.load_shapes(train=30, test=20, seed=5)
    assert (dataset.name, dataset.class_names, dataset.is_official) == ("shapes", shapes.CLASS_NAMES, None)
    assert (len(dataset.train), len(dataset.test), dataset.image_size) == (30, 20, (32, 32))
    assert "seed 5" in dataset.source
    assert len(dataset.notes) == 1
    assert "not photographs" in dataset.notes[0]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"train": 9}, "shapes: 9 train images are too few"),
        ({"test": -1}, "shapes: -1 test images are too few"),
        ({"train": 10**9}, "more than 4 GB of memory"),
        ({"train": 10**400}, "more than 4 GB of memory"),
        ({"seed": -1}, "shapes: the seed is -1"),
    ],
)
def test_invalid_sizes_and_seeds_are_rejected(arguments, reason):
    with pytest.raises(DataError, match=reason):
        shapes.make_shapes(**arguments)


def test_options_are_parsed_into_arguments():
    assert shapes.parse_options("shapes") == {"defects": shapes.NO_DEFECTS}
    argument = "shapes:train=50,test=20,seed=3,wrong-labels=0.05,near-duplicates=0.1,background=0.5"
    arguments = shapes.parse_options(argument)
    assert arguments == {"train": 50, "test": 20, "seed": 3, "defects": shapes.Defects(0.05, 0.5, 0.1)}
    assert len(shapes.load_shapes(**arguments).train) == 50


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("shapes:trian=5", "shapes: unknown option 'trian'. Did you mean 'train'?"),
        ("shapes:zzz", "shapes: unknown option 'zzz'. Known: train, test, seed"),
        ("shapes:train", "shapes: the option train is ''. It must be a whole number."),
        ("shapes:seed=1.5", "It must be a whole number."),
        ("shapes:background=lots", "It must be a fraction, such as 0.05."),
        ("shapes:near-duplicates=2", "It must be between 0 and 1."),
        ("shapes:wrong-labels=nan", "It must be between 0 and 1."),
    ],
)
def test_a_bad_option_is_rejected(argument, reason):
    with pytest.raises(DataError) as caught:
        shapes.parse_options(argument)
    assert reason in str(caught.value)


@pytest.mark.slow
def test_a_small_network_reaches_high_but_imperfect_accuracy(tmp_path):
    # A failure means that the images became too hard or too easy.
    dataset = shapes.load_shapes(train=3000, test=1000)
    recipe = loading.load_recipe("fast-73", ["training.epochs=3"])
    Session(TrainConfig(recipe, dataset, "shapes", tmp_path / "run")).run()
    predicted = Run(tmp_path / "run").classifier().probabilities(dataset.test.pixels).argmax(1)
    assert 0.93 <= (predicted == dataset.test.labels).mean() <= 0.97


def _mean_colors(rendered: shapes.RenderedBatch, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean color of each image, (n, 3), over the pixels in `where`."""
    chosen = where[:, None]
    return (rendered.pixels * chosen).sum(axis=(2, 3)) / chosen.sum(axis=(2, 3))
