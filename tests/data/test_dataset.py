"""The fingerprint of a dataset: the same for the same images, and another for any others."""

from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.dataset import Dataset, Part


def part(seed):
    random = np.random.default_rng(seed)
    return Part(random.integers(0, 256, (6, 3, 4, 4), dtype=np.uint8), np.arange(6) % 3)


@pytest.fixture
def dataset():
    return Dataset("pets", part(0), part(1), ("cat", "dog", "fox"), "made up", validation=part(2))


def test_without_test_images_there_are_none_and_all_else_is_there(dataset):
    blind = dataset.without_test()
    assert len(blind.test) == 0
    assert (blind.train, blind.validation, blind.image_size) == (dataset.train, dataset.validation, dataset.image_size)
    assert blind.fingerprint == replace(dataset, test=part(7)).without_test().fingerprint


def with_another_pixel(images):
    pixels = images.pixels.copy()
    pixels[4, 1, 3, 0] ^= 1
    return replace(images, pixels=pixels)


def with_another_label(images):
    labels = images.labels.copy()
    labels[4] = 2
    return replace(images, labels=labels)


def in_another_order(images):
    return Part(images.pixels[::-1], images.labels[::-1])


def in_another_shape(images):
    return replace(images, pixels=images.pixels.reshape(6, 3, 2, 8))


CHANGES = {
    "a label": lambda known: replace(known, train=with_another_label(known.train)),
    "a validation label": lambda known: replace(known, validation=with_another_label(known.validation)),
    "a test label": lambda known: replace(known, test=with_another_label(known.test)),
    "a class name": lambda known: replace(known, class_names=("cat", "dog", "wolf")),
    "the order of class names": lambda known: replace(known, class_names=("dog", "cat", "fox")),
    "a pixel": lambda known: replace(known, train=with_another_pixel(known.train)),
    "a validation pixel": lambda known: replace(known, validation=with_another_pixel(known.validation)),
    "a test pixel": lambda known: replace(known, test=with_another_pixel(known.test)),
    "the order of images": lambda known: replace(known, train=in_another_order(known.train)),
    "the shape of images": lambda known: replace(known, train=in_another_shape(known.train)),
    "the use of images": lambda known: replace(known, validation=known.test, test=known.validation),
    "no validation images": lambda known: replace(known, validation=None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_another_dataset_has_another_fingerprint(dataset, change):
    assert change(dataset).fingerprint != dataset.fingerprint


def test_the_same_images_have_the_same_fingerprint_whatever_is_told_of_them(dataset):
    train = Part(np.asfortranarray(dataset.train.pixels), dataset.train.labels.copy(), tuple("abcdef"))
    told = {"name": "others", "source": "elsewhere", "published": True, "remarks": ("odd",)}
    same = Dataset(train=train, test=part(1), class_names=("cat", "dog", "fox"), validation=part(2), **told)
    assert same.fingerprint == dataset.fingerprint
