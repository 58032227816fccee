"""Near-twins that were planted are found, and others are not taken for them."""

import io

import numpy as np
import pytest
from PIL import Image

from tinysight.audit.twins import find_twins
from tinysight.data import shapes
from tinysight.data.shapes import Flaws


def moved(image):
    return np.roll(image, (1, -1), axis=(1, 2))


def mirrored(image):
    return image[:, :, ::-1]


def compressed(image):
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer)).transpose(2, 0, 1)


def touched_up(image):
    return compressed(moved(mirrored(image)))


@pytest.fixture(scope="module")
def pictures():
    return shapes.draw(600, seed=4).pixels


@pytest.mark.parametrize("change", [np.copy, moved, mirrored, compressed, touched_up])
def test_planted_twins_are_found_and_nothing_else(pictures, change):
    planted = np.stack([change(picture) for picture in pictures[:40]])
    twins = find_twins(np.concatenate([pictures, planted]))
    truth = {(index, 600 + index) for index in range(40)}
    found = set(map(tuple, twins.pairs.tolist()))

    assert len(found & truth) >= 38  # recall .95
    assert len(found & truth) >= 0.95 * len(found)


def test_it_says_which_are_mirrored(pictures):
    planted = np.stack(
        [mirrored(picture) for picture in pictures[:10]] + [moved(picture) for picture in pictures[10:20]]
    )
    twins = find_twins(np.concatenate([pictures, planted]))
    told = {tuple(pair): flag for pair, flag in zip(twins.pairs.tolist(), twins.mirrored.tolist(), strict=True)}
    assert [told[index, 600 + index] for index in range(20)] == [True] * 10 + [False] * 10


def test_the_most_alike_come_first_and_copies_do_not_differ(pictures):
    twins = find_twins(np.concatenate([pictures, pictures[:5], np.stack([compressed(one) for one in pictures[5:10]])]))
    assert (twins.difference[:5] < 1e-3).all()
    assert list(twins.difference) == sorted(twins.difference)


def test_flaws_that_shapes_plants_are_found():
    dataset, planted = shapes.make(train=1000, test=300, flaws=Flaws(near_duplicates=0.2))
    twins = find_twins(np.concatenate([dataset.train.pixels, dataset.test.pixels]))
    truth = {(int(train), 1000 + int(test)) for test, train in planted.twins}
    found = set(map(tuple, twins.pairs.tolist()))

    assert len(found & truth) >= 0.95 * len(truth)
    assert len(found & truth) >= 0.95 * len(found)


@pytest.mark.parametrize("n", [1, 2])
def test_few_images_are_no_error(pictures, n):
    assert len(find_twins(pictures[:n])) == 0
