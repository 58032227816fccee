"""Dataset fingerprint: equal for equal images, different for any other images."""

from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.dataset import Dataset, Split


def random_split(seed):
    random = np.random.default_rng(seed)
    return Split(random.integers(0, 256, (6, 3, 4, 4), dtype=np.uint8), np.arange(6) % 3)


@pytest.fixture
def dataset():
    return Dataset(
        "pets", random_split(0), random_split(1), ("cat", "dog", "fox"), "synthetic", validation=random_split(2)
    )


def test_without_test_empties_only_the_test_split(dataset):
    stripped = dataset.without_test()
    assert len(stripped.test) == 0
    assert (stripped.train, stripped.validation, stripped.image_size) == (
        dataset.train,
        dataset.validation,
        dataset.image_size,
    )
    assert stripped.fingerprint == replace(dataset, test=random_split(7)).without_test().fingerprint


def with_changed_pixel(images):
    pixels = images.pixels.copy()
    pixels[4, 1, 3, 0] ^= 1
    return replace(images, pixels=pixels)


def with_changed_label(images):
    labels = images.labels.copy()
    labels[4] = 2
    return replace(images, labels=labels)


def reversed_order(images):
    return Split(images.pixels[::-1], images.labels[::-1])


def reshaped(images):
    return replace(images, pixels=images.pixels.reshape(6, 3, 2, 8))


CHANGES = {
    "a label": lambda dataset: replace(dataset, train=with_changed_label(dataset.train)),
    "a validation label": lambda dataset: replace(dataset, validation=with_changed_label(dataset.validation)),
    "a test label": lambda dataset: replace(dataset, test=with_changed_label(dataset.test)),
    "a class name": lambda dataset: replace(dataset, class_names=("cat", "dog", "wolf")),
    "the order of class names": lambda dataset: replace(dataset, class_names=("dog", "cat", "fox")),
    "a pixel": lambda dataset: replace(dataset, train=with_changed_pixel(dataset.train)),
    "a validation pixel": lambda dataset: replace(dataset, validation=with_changed_pixel(dataset.validation)),
    "a test pixel": lambda dataset: replace(dataset, test=with_changed_pixel(dataset.test)),
    "the order of images": lambda dataset: replace(dataset, train=reversed_order(dataset.train)),
    "the shape of images": lambda dataset: replace(dataset, train=reshaped(dataset.train)),
    "the splits of images": lambda dataset: replace(dataset, validation=dataset.test, test=dataset.validation),
    "no validation images": lambda dataset: replace(dataset, validation=None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_changes_the_fingerprint(dataset, change):
    assert change(dataset).fingerprint != dataset.fingerprint


def test_metadata_does_not_change_the_fingerprint(dataset):
    train = Split(np.asfortranarray(dataset.train.pixels), dataset.train.labels.copy(), tuple("abcdef"))
    same = Dataset(
        name="others",
        train=train,
        test=random_split(1),
        class_names=("cat", "dog", "fox"),
        source="elsewhere",
        validation=random_split(2),
        is_official=True,
        notes=("odd",),
    )
    assert same.fingerprint == dataset.fingerprint
