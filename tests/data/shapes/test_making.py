"""The pictures of `shapes`: the same for the same seed, balanced, and hard to get right by anything but shape."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tinysight.data import shapes
from tinysight.errors import DataError
from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.training.train import Plan, train


def test_the_pictures_of_a_seed_are_these_to_the_bit():
    # If this fails on a new machine or NumPy, the dataset is not the same everywhere any more.
    drawn = shapes.draw(200, seed=7)
    digest = hashlib.sha256(drawn.pixels.tobytes() + drawn.labels.astype("<i8").tobytes() + drawn.masks.tobytes())
    assert digest.hexdigest() == "e1fb744a72333c74514aaabddc62cf9cbdbc6e679ce1a96666617ef443d5909b"


@given(st.integers(0, 250), st.integers(0, 250), st.integers(0, 2**40))
def test_a_picture_does_not_depend_on_how_many_are_drawn(few, many, seed):
    few, many = sorted((few, many))
    some, all_of_them = shapes.draw(few, seed, size=8), shapes.draw(many, seed, size=8)
    np.testing.assert_array_equal(some.pixels, all_of_them.pixels[:few])
    np.testing.assert_array_equal(some.labels, all_of_them.labels[:few])
    np.testing.assert_array_equal(some.masks, all_of_them.masks[:few])


@given(st.integers(0, 333), st.integers(0, 2**40))
def test_classes_are_balanced_to_within_one(n, seed):
    counts = np.bincount(shapes.draw(n, seed, size=8).labels, minlength=10)
    assert counts.max() - counts.min() <= 1


def test_classes_come_in_no_fixed_order():
    tens = shapes.draw(100, seed=0, size=8).labels.reshape(10, 10)
    assert len({tuple(ten) for ten in tens}) == 10


def test_seeds_and_splits_share_no_picture():
    dataset, other = shapes.load(200, 200, seed=1), shapes.load(200, 200, seed=2)
    parts = (dataset.train, dataset.test, other.train, other.test)
    assert len({picture.tobytes() for part in parts for picture in part.pixels}) == 800


@pytest.mark.parametrize("size", [8, 32, 45])
def test_arrays_have_the_documented_types_and_shapes(size):
    drawn = shapes.draw(12, seed=0, size=size)
    assert (drawn.pixels.dtype, drawn.pixels.shape) == (np.uint8, (12, 3, size, size))
    assert (drawn.labels.dtype, drawn.labels.shape) == (np.int64, (12,))
    assert (drawn.masks.dtype, drawn.masks.shape) == (np.bool_, (12, size, size))


def test_the_same_seed_shows_the_same_scenes_in_any_size():
    small, large = shapes.draw(50, seed=3, size=32), shapes.draw(50, seed=3, size=64)
    np.testing.assert_array_equal(small.labels, large.labels)
    halved = large.masks.reshape(50, 32, 2, 32, 2).mean(axis=(2, 4)) > 0.5
    assert (halved == small.masks).mean() > 0.97


def test_masks_tell_where_the_lighter_shape_is():
    drawn = shapes.draw(500, seed=0)
    areas = drawn.masks.mean(axis=(1, 2))
    assert areas.min() > 0.06
    assert areas.max() < 0.42
    lighter = _mean_colours(drawn, drawn.masks).max(axis=1) > _mean_colours(drawn, ~drawn.masks).max(axis=1)
    assert lighter.mean() > 0.97


@pytest.mark.parametrize("inside", [True, False], ids=["of the shape", "of the background"])
def test_the_colour_does_not_give_the_class_away(inside):
    drawn = shapes.draw(4000, seed=0)
    colours = _mean_colours(drawn, drawn.masks == inside)
    guesser = LogisticRegression(max_iter=1000).fit(colours[:3000], drawn.labels[:3000])
    assert guesser.score(colours[3000:], drawn.labels[3000:]) < 0.15


def test_the_dataset_says_what_it_is():
    dataset = shapes.load(train=30, test=20, seed=5)
    assert (dataset.name, dataset.class_names, dataset.published) == ("shapes", shapes.CLASS_NAMES, None)
    assert (len(dataset.train), len(dataset.test), dataset.image_size) == (30, 20, (32, 32))
    assert "seed 5" in dataset.source
    assert len(dataset.remarks) == 1
    assert "not photographs" in dataset.remarks[0]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"train": 9}, "9 train images of shapes are too few"),
        ({"test": -1}, "-1 test images of shapes are too few"),
        ({"train": 10**9}, "more than 4 GB of memory"),
        ({"train": 10**400}, "more than 4 GB of memory"),
        ({"seed": -1}, "seed of shapes is -1"),
    ],
)
def test_impossible_sizes_and_seeds_are_refused(arguments, reason):
    with pytest.raises(DataError, match=reason):
        shapes.make(**arguments)


def test_the_command_lines_options_become_arguments():
    assert shapes.parse("shapes") == {"flaws": shapes.NO_FLAWS}
    argument = "shapes:train=50,test=20,seed=3,wrong-labels=0.05,near-duplicates=0.1,background=0.5"
    arguments = shapes.parse(argument)
    assert arguments == {"train": 50, "test": 20, "seed": 3, "flaws": shapes.Flaws(0.05, 0.5, 0.1)}
    assert len(shapes.load(**arguments).train) == 50


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("shapes:trian=5", "no option 'trian'. Did you mean 'train'?"),
        ("shapes:zzz", "no option 'zzz'. Known: train, test, seed"),
        ("shapes:train", "The option train of shapes is ''; it must be a whole number."),
        ("shapes:seed=1.5", "it must be a whole number"),
        ("shapes:background=lots", "it must be a share, such as 0.05"),
        ("shapes:near-duplicates=2", "must lie within 0 and 1"),
        ("shapes:wrong-labels=nan", "must lie within 0 and 1"),
    ],
)
def test_a_bad_option_is_answered_with_one_sentence(argument, reason):
    with pytest.raises(DataError) as caught:
        shapes.parse(argument)
    assert reason in str(caught.value)


@pytest.mark.slow
def test_a_small_network_does_well_and_not_perfectly(tmp_path):
    # If this fails, the pictures have become too hard or too easy.
    dataset = shapes.load()
    recipe = loading.load("early-stopping")
    train(Plan(recipe, dataset, "shapes", seed=0, precision="fp32"), tmp_path / "run")
    predicted = Run(tmp_path / "run").classifier().probabilities(dataset.test.pixels).argmax(1)
    assert 0.90 <= (predicted == dataset.test.labels).mean() <= 0.97


def _mean_colours(drawn: shapes.Drawn, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return each picture's mean colour, (n, 3), over the pixels in `where`."""
    chosen = where[:, None]
    return (drawn.pixels * chosen).sum(axis=(2, 3)) / chosen.sum(axis=(2, 3))
