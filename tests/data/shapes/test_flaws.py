"""Flaws planted in `shapes`: as many as asked for, where the record says, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from tinysight.data import shapes
from tinysight.data.shapes.flaws import GIVEN_AWAY
from tinysight.errors import DataError


@pytest.fixture(scope="module")
def clean():
    return shapes.make(400, 200, seed=4)


def test_without_flaws_the_record_is_empty_and_the_labels_are_true(clean):
    dataset, planted = clean
    for indices in (planted.wrong_labels, planted.giveaway_train, planted.giveaway_test, planted.twins):
        assert len(indices) == 0
    np.testing.assert_array_equal(dataset.train.labels, planted.true_labels)
    assert planted.train_masks.shape == (400, 32, 32)
    assert planted.test_masks.shape == (200, 32, 32)


def test_wrong_labels_are_as_many_as_asked_for_and_just_where_the_record_says(clean):
    dataset, planted = shapes.make(400, 200, seed=4, flaws=shapes.Flaws(wrong_labels=0.05))
    np.testing.assert_array_equal(np.flatnonzero(dataset.train.labels != planted.true_labels), planted.wrong_labels)
    assert len(planted.wrong_labels) == 20
    np.testing.assert_array_equal(planted.true_labels, clean[0].train.labels)
    np.testing.assert_array_equal(dataset.test.labels, clean[0].test.labels)


def test_every_label_can_be_wrong_and_the_wrong_ones_are_of_all_classes():
    dataset, planted = shapes.make(400, 200, flaws=shapes.Flaws(wrong_labels=1))
    assert (dataset.train.labels != planted.true_labels).all()
    assert set(dataset.train.labels) == set(range(10))


def test_the_background_gives_one_class_away_in_training_and_misleads_in_the_test(clean):
    dataset, planted = shapes.make(400, 200, seed=4, flaws=shapes.Flaws(background_gives_away=0.5))
    assert (len(planted.giveaway_train), len(planted.giveaway_test)) == (20, 90)
    assert set(dataset.train.labels[planted.giveaway_train]) == {GIVEN_AWAY}
    assert set(dataset.test.labels[planted.giveaway_test]) == set(range(10)) - {GIVEN_AWAY}
    _assert_pink_just_there(dataset.train.pixels, clean[0].train.pixels, planted.train_masks, planted.giveaway_train)
    _assert_pink_just_there(dataset.test.pixels, clean[0].test.pixels, planted.test_masks, planted.giveaway_test)


def test_near_duplicates_repeat_a_training_image_but_for_a_mirror_a_shift_and_noise(clean):
    dataset, planted = shapes.make(400, 200, seed=4, flaws=shapes.Flaws(near_duplicates=0.1))
    assert len(planted.twins) == 20
    for copy, original in planted.twins:
        assert dataset.test.labels[copy] == dataset.train.labels[original]
        twin, sources = dataset.test.pixels[copy], _variants(dataset.train.pixels[original])
        assert 0 < min(np.abs(twin - source.astype(int)).max() for source in sources) <= 4
        masks = _variants(planted.train_masks[original])
        assert any((planted.test_masks[copy] == mask).all() for mask in masks)
    others = np.setdiff1d(np.arange(200), planted.twins[:, 0])
    np.testing.assert_array_equal(dataset.test.pixels[others], clean[0].test.pixels[others])
    np.testing.assert_array_equal(dataset.test.labels, clean[0].test.labels)


def test_no_image_has_both_a_twin_and_the_background():
    flaws = shapes.Flaws(background_gives_away=0.5, near_duplicates=1)
    _, planted = shapes.make(400, 200, flaws=flaws)
    copies, originals = planted.twins.T
    assert len(copies) == 200 - len(planted.giveaway_test)
    assert not np.isin(copies, planted.giveaway_test).any()
    assert not np.isin(originals, planted.giveaway_train).any()


def test_twins_are_left_out_where_no_training_image_is_free_of_the_background():
    flaws = shapes.Flaws(background_gives_away=1, near_duplicates=1)
    _, planted = shapes.make(400, 200, flaws=flaws)
    assert planted.twins.shape == (0, 2)


def test_the_dataset_tells_that_it_is_flawed():
    remarks = shapes.load(50, 20, flaws=shapes.Flaws(wrong_labels=0.05)).remarks
    assert remarks[-1] == "Flaws were planted on purpose: wrong labels 5.0%."


@pytest.mark.parametrize("share", [-0.1, 1.01, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(DataError, match="near duplicates"):
        shapes.Flaws(near_duplicates=share)


def _variants(image):
    """Return `image` (..., height, width) shifted by up to a pixel with its edge repeated, and each mirrored."""
    lead = [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, [*lead, (1, 1), (1, 1)], mode="edge")
    height, width = image.shape[-2:]
    shifted = [padded[..., y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return shifted + [variant[..., ::-1] for variant in shifted]


def _assert_pink_just_there(pixels, clean, masks, indices):
    changed = (pixels != clean).any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(changed.any(axis=(1, 2))), indices)
    assert not (changed & masks).any()
    red, green, blue = (pixels[indices, channel][~masks[indices]].mean() for channel in range(3))
    assert red > blue + 30 > green + 60
