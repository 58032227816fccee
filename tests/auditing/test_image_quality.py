"""Images without content, and identical images with different labels."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tinysight._util.progress import SILENT
from tinysight.auditing.context import AuditContext
from tinysight.auditing.sections.image_quality import (
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
