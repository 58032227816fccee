"""Dataset fingerprint: equal for equal images, different for any other images."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

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


def test_a_dataset_and_its_splits_state_their_sizes(dataset):
    assert repr(dataset) == "Dataset('pets', 6 train, 6 validation, 6 test images of 4x4, 3 classes)"
    assert repr(replace(dataset, validation=None)) == "Dataset('pets', 6 train, 6 test images of 4x4, 3 classes)"
    assert repr(Split(np.zeros((1200, 3, 5, 7), np.uint8), np.zeros(1200, int))) == "Split(1,200 images of 5x7)"


def test_splits_are_in_order(dataset):
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert dataset.splits["validation"] is dataset.validation
    assert list(replace(dataset, validation=None).splits) == ["train", "test"]


def test_the_image_size_is_height_and_width(dataset):
    wide = Split(np.zeros((1, 3, 5, 7), np.uint8), np.zeros(1, int))
    assert replace(dataset, train=wide).image_size == (5, 7)
    assert replace(dataset, train=wide).without_test().test.pixels.shape == (0, 3, 5, 7)


def test_classes_without_images_are_counted_as_0():
    assert Split(np.zeros((3, 3, 2, 2), np.uint8), np.array([2, 0, 2])).class_counts(5) == [1, 0, 2, 0, 0]


@pytest.mark.parametrize(
    ("classes", "more"), [(3, ""), (10, ""), (11, " and 1 more class"), (1200, " and 1,190 more classes")]
)
def test_the_notebook_display_shows_an_image_of_each_of_ten_classes(classes, more):
    labels = np.arange(classes)[::-1].copy()
    random = np.random.default_rng(0)
    train = Split(random.integers(0, 256, (classes, 3, 2, 2), dtype=np.uint8), labels)
    names = tuple(f"<{number}>" for number in range(classes))
    html = Dataset("<pets>", train, train, names, "here", notes=("<note>",))._repr_html_()
    shown = re.findall(r'<img src="data:image/png;base64,([^"]*)" alt="([^"]*)"', html)
    assert [alt for _, alt in shown] == [f"&lt;{number}&gt;" for number in range(min(classes, 10))]
    for number, (content, _) in enumerate(shown):
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            np.testing.assert_array_equal(np.asarray(image).transpose(2, 0, 1), train.pixels[classes - 1 - number])
    assert html.endswith(f"{more}</div>")
    assert (
        f"<strong>&lt;pets&gt;</strong>: {classes:,} train, {classes:,} test images of 2x2, {classes:,} classes" in html
    )
    assert "<br><em>&lt;note&gt;</em>" in html


def test_groups_change_the_fingerprint(dataset):
    grouped = replace(dataset, train=replace(dataset.train, groups=tuple("aabbcc")))
    other = replace(dataset, train=replace(dataset.train, groups=tuple("aabbcd")))
    assert len({dataset.fingerprint, grouped.fingerprint, other.fingerprint}) == 3
