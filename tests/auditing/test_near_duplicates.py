"""Injected near-duplicates are found with high precision and recall."""

import io

import numpy as np
import pytest
from PIL import Image

from tinysight.auditing.sections.near_duplicates import find_near_duplicates
from tinysight.data.sources import shapes
from tinysight.data.sources.shapes import Defects


def moved(image):
    return np.roll(image, (1, -1), axis=(1, 2))


def mirrored(image):
    return image[:, :, ::-1]


def compressed(image):
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer)).transpose(2, 0, 1)


def retouched(image):
    return compressed(moved(mirrored(image)))


@pytest.fixture(scope="module")
def images():
    return shapes.render_shapes(600, seed=4).pixels


@pytest.mark.parametrize("change", [np.copy, moved, mirrored, compressed, retouched])
def test_injected_duplicates_are_found_and_nothing_else(images, change):
    planted = np.stack([change(image) for image in images[:40]])
    duplicates = find_near_duplicates(np.concatenate([images, planted]))
    truth = {(index, 600 + index) for index in range(40)}
    pairs = set(map(tuple, duplicates.pairs.tolist()))

    assert len(pairs & truth) >= 38  # recall 0.95
    assert len(pairs & truth) >= 0.95 * len(pairs)


def test_mirrored_pairs_are_marked(images):
    planted = np.stack([mirrored(image) for image in images[:10]] + [moved(image) for image in images[10:20]])
    duplicates = find_near_duplicates(np.concatenate([images, planted]))
    is_mirrored = {
        tuple(pair): flag for pair, flag in zip(duplicates.pairs.tolist(), duplicates.mirrored.tolist(), strict=True)
    }
    assert [is_mirrored[index, 600 + index] for index in range(20)] == [True] * 10 + [False] * 10


def test_pairs_are_sorted_by_difference_and_copies_come_first(images):
    duplicates = find_near_duplicates(
        np.concatenate([images, images[:5], np.stack([compressed(image) for image in images[5:10]])])
    )
    assert (duplicates.distance[:5] < 1e-3).all()
    assert list(duplicates.distance) == sorted(duplicates.distance)


def test_near_duplicates_injected_into_shapes_are_found():
    dataset, planted = shapes.make_shapes(train=1000, test=300, defects=Defects(near_duplicates=0.2))
    duplicates = find_near_duplicates(np.concatenate([dataset.train.pixels, dataset.test.pixels]))
    truth = {(int(train), 1000 + int(test)) for test, train in planted.near_duplicates}
    pairs = set(map(tuple, duplicates.pairs.tolist()))

    assert len(pairs & truth) >= 0.95 * len(truth)
    assert len(pairs & truth) >= 0.95 * len(pairs)


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_images_give_no_pairs(images, n):
    assert len(find_near_duplicates(images[:n])) == 0
