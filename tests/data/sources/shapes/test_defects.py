"""Injected defects of `shapes`: their number matches the request, their place the ground truth."""

from __future__ import annotations

import numpy as np
import pytest

from tinysight._util.errors import DataError
from tinysight.data.sources import shapes
from tinysight.data.sources.shapes.defects import SPURIOUS_CLASS


@pytest.fixture(scope="module")
def clean():
    return shapes.make_shapes(400, 200, seed=4)


def test_without_defects_the_ground_truth_lists_none(clean):
    dataset, truth = clean
    for indices in (truth.label_errors, truth.spurious_train, truth.spurious_test, truth.near_duplicates):
        assert len(indices) == 0
    np.testing.assert_array_equal(dataset.train.labels, truth.true_labels)
    assert truth.train_masks.shape == (400, 32, 32)
    assert truth.test_masks.shape == (200, 32, 32)


def test_label_errors_match_the_requested_fraction_and_the_ground_truth(clean):
    dataset, truth = shapes.make_shapes(400, 200, seed=4, defects=shapes.Defects(label_errors=0.05))
    np.testing.assert_array_equal(np.flatnonzero(dataset.train.labels != truth.true_labels), truth.label_errors)
    assert len(truth.label_errors) == 20
    np.testing.assert_array_equal(truth.true_labels, clean[0].train.labels)
    np.testing.assert_array_equal(dataset.test.labels, clean[0].test.labels)


def test_all_labels_can_be_wrong_and_errors_cover_all_classes():
    dataset, truth = shapes.make_shapes(400, 200, defects=shapes.Defects(label_errors=1))
    assert (dataset.train.labels != truth.true_labels).all()
    assert set(dataset.train.labels) == set(range(10))


def test_the_spurious_background_marks_one_class_in_train_and_the_others_in_test(clean):
    dataset, truth = shapes.make_shapes(400, 200, seed=4, defects=shapes.Defects(spurious_background=0.5))
    assert (len(truth.spurious_train), len(truth.spurious_test)) == (20, 90)
    assert set(dataset.train.labels[truth.spurious_train]) == {SPURIOUS_CLASS}
    assert set(dataset.test.labels[truth.spurious_test]) == set(range(10)) - {SPURIOUS_CLASS}
    _assert_pink_only_at(dataset.train.pixels, clean[0].train.pixels, truth.train_masks, truth.spurious_train)
    _assert_pink_only_at(dataset.test.pixels, clean[0].test.pixels, truth.test_masks, truth.spurious_test)


def test_near_duplicates_are_flipped_shifted_noisy_training_images(clean):
    dataset, truth = shapes.make_shapes(400, 200, seed=4, defects=shapes.Defects(near_duplicates=0.1))
    assert len(truth.near_duplicates) == 20
    for copy, original in truth.near_duplicates:
        assert dataset.test.labels[copy] == dataset.train.labels[original]
        duplicate, sources = dataset.test.pixels[copy], _variants(dataset.train.pixels[original])
        assert 0 < min(np.abs(duplicate - source.astype(int)).max() for source in sources) <= 4
        masks = _variants(truth.train_masks[original])
        assert any((truth.test_masks[copy] == mask).all() for mask in masks)
    untouched = np.setdiff1d(np.arange(200), truth.near_duplicates[:, 0])
    np.testing.assert_array_equal(dataset.test.pixels[untouched], clean[0].test.pixels[untouched])
    np.testing.assert_array_equal(dataset.test.labels, clean[0].test.labels)


def test_near_duplicates_never_have_the_spurious_background():
    flaws = shapes.Defects(spurious_background=0.5, near_duplicates=1)
    _, truth = shapes.make_shapes(400, 200, defects=flaws)
    copies, originals = truth.near_duplicates.T
    assert len(copies) == 200 - len(truth.spurious_test)
    assert not np.isin(copies, truth.spurious_test).any()
    assert not np.isin(originals, truth.spurious_train).any()


def test_without_a_clean_training_image_there_are_no_near_duplicates():
    flaws = shapes.Defects(spurious_background=1, near_duplicates=1)
    _, truth = shapes.make_shapes(400, 200, defects=flaws)
    assert truth.near_duplicates.shape == (0, 2)


def test_the_dataset_notes_its_defects():
    remarks = shapes.load_shapes(50, 20, defects=shapes.Defects(label_errors=0.05)).notes
    assert remarks[-1] == "Defects were injected on purpose: label errors 5.0%."


@pytest.mark.parametrize("fraction", [-0.1, 1.01, float("nan")])
def test_a_fraction_outside_0_to_1_is_rejected(fraction):
    with pytest.raises(DataError, match=r"The fraction of near-duplicates is .*\. It must be between 0 and 1\."):
        shapes.Defects(near_duplicates=fraction)


def _variants(image):
    """Return `image` (..., height, width) shifted by at most one pixel with edge padding, and all flips of these."""
    lead = [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, [*lead, (1, 1), (1, 1)], mode="edge")
    height, width = image.shape[-2:]
    shifted = [padded[..., y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return shifted + [variant[..., ::-1] for variant in shifted]


def _assert_pink_only_at(pixels, clean, masks, indices):
    changed = (pixels != clean).any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(changed.any(axis=(1, 2))), indices)
    assert not (changed & masks).any()
    red, green, blue = (pixels[indices, channel][~masks[indices]].mean() for channel in range(3))
    assert red > blue + 30 > green + 60
