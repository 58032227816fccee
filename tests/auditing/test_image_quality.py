"""Images without content, and identical images with different labels."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tinysight._util.progress import SILENT
from tinysight.auditing.context import AuditContext
from tinysight.auditing.sections.image_quality import (
    ImageQuality,
    ImageQualitySection,
    LabeledImage,
    find_empty_images,
    find_identical_images,
)
from tinysight.data.dataset import Split
from tinysight.runs.run import Run


def noise(n, low=0, high=256, seed=0):
    return np.random.default_rng(seed).integers(low, high, (n, 3, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "constant", "black"),
    [
        (noise(1), False, False),
        (np.full((1, 3, 8, 8), 200), True, False),
        (noise(1, 100, 108), True, False),
        (noise(1, 100, 130), False, False),
        (np.zeros((1, 3, 8, 8)), True, True),
        (noise(1, 0, 17), False, True),
        (noise(1, 0, 40), False, False),
        (np.tile([[[[250]], [[10]], [[90]]]], (1, 1, 8, 8)), True, False),  # one color
    ],
)
def test_nearly_constant_and_nearly_black_images_are_found(image, constant, black):
    found = find_empty_images(np.concatenate([noise(2), image.astype(np.uint8), noise(2)]))
    assert [list(mask) for mask in found] == [[False] * 2 + [flag] + [False] * 2 for flag in (constant, black)]


def test_identical_images_are_grouped():
    pixels = noise(6)
    pixels[4], pixels[5], pixels[3] = pixels[1], pixels[1], pixels[0]
    assert find_identical_images(pixels) == [[0, 3], [1, 4, 5]]
    almost = pixels[1].copy()
    almost[0, 0, 0] ^= 1
    assert find_identical_images(np.stack([pixels[1], almost])) == []


@pytest.fixture
def context(trained, tmp_path):
    """A context in which test image 0 is a copy of training image 0, and training image 1 is black."""
    context = AuditContext.from_run(Run(shutil.copytree(trained, tmp_path / "run")))
    train, test = context.dataset.train, context.dataset.test
    pixels = [np.array(part.pixels) for part in (train, test)]
    pixels[0][1] = 0
    pixels[1][0] = pixels[0][0]
    labels = np.array(test.labels)
    labels[0] = (train.labels[0] + 1) % 10
    context.dataset = replace(context.dataset, train=Split(pixels[0], train.labels), test=Split(pixels[1], labels))
    return context


def test_identical_images_with_different_labels_are_reported_with_both_labels(context):
    section, names = ImageQualitySection(), context.dataset.class_names
    result = section.compute(context, SILENT)
    label = int(context.dataset.train.labels[0])
    assert result.conflicts == (
        (LabeledImage("train/0", names[label]), LabeledImage("test/0", names[(label + 1) % 10])),
    )
    assert (result.black, result.constant) == (("train/1",), ("train/1",))
    assert section.summarize(result) == (
        "1 of 130 images (0.8%) are nearly constant or black; groups of identical images with different labels: 1"
    )


def test_rows_name_the_images_once_with_their_labels(context):
    section = ImageQualitySection()
    conflicts, empty = section.rows(section.compute(context, SILENT), limit=5)
    assert [listed.image for listed in conflicts.rows[0].images] == ["train/0", "test/0"]
    assert [row.images[0].lines for row in empty.rows] == [("nearly black",)]


def test_a_clean_dataset_has_no_tables(trained):
    section = ImageQualitySection()
    result = section.compute(AuditContext.from_run(Run(trained)), SILENT)
    assert (result.n, result.constant, result.black, result.conflicts) == (130, (), (), ())
    assert section.rows(result, limit=5) == ()


def two_levels(low, high):
    """An image whose values have the standard deviation (high - low) / 2."""
    image = np.full((1, 3, 8, 8), low, dtype=np.uint8)
    image[..., ::2] = high
    return image


def test_a_constant_image_has_a_standard_deviation_below_4_in_every_channel():
    one_channel = np.full((1, 3, 8, 8), 90, dtype=np.uint8)
    one_channel[:, 2] = two_levels(96, 104)[:, 2]
    constant, _ = find_empty_images(np.concatenate([two_levels(96, 104), two_levels(96, 103), one_channel]))
    assert constant.tolist() == [False, True, False]


def with_bright_values(n, level=17, size=10):
    image = np.full(3 * size * size, 16, dtype=np.uint8)
    image[:n] = level
    return image.reshape(1, 3, size, size)


def test_a_black_image_has_less_than_1_percent_of_values_above_16():
    _, black = find_empty_images(np.concatenate([with_bright_values(n) for n in (0, 2, 3)]))
    assert black.tolist() == [True, True, False]


def test_images_beyond_the_first_thousand_are_checked():
    pixels = noise(1003)
    pixels[[0, 999, 1000, 1002]] = 0
    for mask in find_empty_images(pixels):
        assert np.flatnonzero(mask).tolist() == [0, 999, 1000, 1002]
    assert [len(mask) for mask in find_empty_images(pixels[:0])] == [0, 0]


def test_identical_images_with_equal_labels_are_no_conflict(context):
    labels = np.array(context.dataset.test.labels)
    labels[0] = context.dataset.train.labels[0]
    context = replace(context, dataset=replace(context.dataset, test=replace(context.dataset.test, labels=labels)))
    assert ImageQualitySection().compute(context, SILENT).conflicts == ()


CONFLICT = (LabeledImage("train/1", "cat"), LabeledImage("test/2", "dog"))
QUALITY = ImageQuality(1300, ("train/3", "train/4"), ("train/9", "train/4"), (CONFLICT, CONFLICT[::-1]))


def test_the_summary_counts_an_image_that_is_constant_and_black_once():
    assert ImageQualitySection().summarize(QUALITY) == (
        "3 of 1,300 images (0.2%) are nearly constant or black; groups of identical images with different labels: 2"
    )
    assert ImageQualitySection().summarize(ImageQuality(0, (), (), ())).startswith("0 of 0 images (0.0%)")


def test_the_tables_show_black_images_first_and_state_all_counts():
    conflicts, empty = ImageQualitySection().rows(QUALITY, limit=1)
    assert [(listed.image, listed.lines) for listed in conflicts.rows[0].images] == [
        ("train/1", ("label cat",)),
        ("test/2", ("label dog",)),
    ]
    assert [(row.images[0].image, row.images[0].lines) for row in empty.rows] == [("train/9", ("nearly black",))]
    assert (len(conflicts.rows), conflicts.n_total, empty.n_total) == (1, 2, 3)
    assert (conflicts.heading, empty.heading) == (
        "identical images with different labels",
        "nearly constant or black images",
    )
    _, empty = ImageQualitySection().rows(QUALITY, limit=3)
    assert [row.images[0].lines for row in empty.rows] == [("nearly black",), ("nearly black",), ("nearly constant",)]
    (only,) = ImageQualitySection().rows(ImageQuality(9, ("train/3",), (), ()), limit=3)
    assert only.heading == "nearly constant or black images"
