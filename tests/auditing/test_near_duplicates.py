"""Injected near-duplicates are found with high precision and recall."""

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import uniform_filter

from tinysight._util.progress import SILENT, SilentProgress
from tinysight.auditing.context import AuditContext
from tinysight.auditing.sections.near_duplicates import (
    DuplicatePair,
    DuplicateStatistics,
    NearDuplicateSection,
    PlantedRecall,
    measure_recall,
)
from tinysight.data.dataset import Split
from tinysight.data.near_duplicates import MAX_DISTANCE, find_near_duplicates
from tinysight.data.sources import shapes
from tinysight.data.sources.shapes import Defects
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.runs.run import Run


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


def reference_distance(first, second):
    """Least RMS difference over contrast, over shifts of up to 2 pixels of 32, after a 3x3 mean filter of SciPy."""
    height, width = first.shape[1:]
    reach = max(1, 2 * height // 32)
    smooth = [uniform_filter(image.astype(float), (1, 3, 3), mode="nearest") for image in (first, second)]
    middle = smooth[0][:, reach:-reach, reach:-reach]
    middle = middle - middle.mean()
    distances = []
    for top in range(2 * reach + 1):
        for left in range(2 * reach + 1):
            window = smooth[1][:, top : top + height - 2 * reach, left : left + width - 2 * reach]
            window = window - window.mean()
            contrast = max(10.0, ((middle.var() + window.var()) / 2) ** 0.5)
            distances.append(((middle - window) ** 2).mean() ** 0.5 / contrast)
    return min(distances)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_distances_equal_those_of_scipy(size):
    images = shapes.render_shapes(300, seed=4, size=size).pixels
    shifts = [(1, 1), (-1, 1), (2, 0), (-2, 0), (0, 2), (0, -2), (1, -1), (0, 1)]
    shifted = [np.roll(image, shift, axis=(1, 2)) for image, shift in zip(images[:8], shifts, strict=True)]
    faded = (0.9 * np.stack(shifted) + 10).astype(np.uint8)
    pixels = np.concatenate([images, faded, np.stack([compressed(image) for image in images[8:16, :, :, ::-1]])])
    duplicates = find_near_duplicates(pixels)
    assert len(duplicates) >= 8
    for (first, second), distance, is_mirrored in zip(
        duplicates.pairs, duplicates.distance, duplicates.mirrored, strict=True
    ):
        second_image = mirrored(pixels[second]) if is_mirrored else pixels[second]
        assert distance == pytest.approx(reference_distance(pixels[first], second_image), abs=1e-3)
        assert first < second
    assert duplicates.distance.max() <= MAX_DISTANCE == 0.3


def test_nearly_constant_images_are_compared_by_gray_levels(images):
    """Their own contrast is below 10 gray levels, so a difference of 2 levels is far below the limit."""
    random = np.random.default_rng(0)
    pattern = np.kron(random.integers(0, 2, (3, 8, 8)), np.ones((4, 4), dtype=int))
    flat = np.stack([100 + 2 * pattern, 100 + 2 * pattern + random.integers(0, 2, (3, 32, 32))]).astype(np.uint8)
    duplicates = find_near_duplicates(np.concatenate([images, flat]))
    assert [600, 601] in duplicates.pairs.tolist()
    index = duplicates.pairs.tolist().index([600, 601])
    assert duplicates.distance[index] == pytest.approx(reference_distance(*flat), abs=1e-3)


def test_an_image_shifted_by_more_than_the_largest_shift_is_no_near_duplicate(images):
    far = np.stack([np.roll(image, (9, -9), axis=(1, 2)) for image in images[:20]])
    pairs = find_near_duplicates(np.concatenate([images, far])).pairs.tolist()
    assert sum([index, 600 + index] in pairs for index in range(20)) <= 1


def test_up_to_four_neighbors_of_an_image_are_found(images):
    pixels = np.concatenate([images, np.repeat(images[:1], 4, axis=0)])
    pairs = set(map(tuple, find_near_duplicates(pixels).pairs.tolist()))
    copies = [0, 600, 601, 602, 603]
    assert {(first, second) for first in copies for second in copies if first < second} <= pairs


def test_progress_counts_every_image(images):
    class Recorder(SilentProgress):
        calls = ()

        def start(self, task, total, unit=""):
            self.calls += (task, total, unit)

        def advance(self, amount, **metrics):
            self.calls += (amount,)

    progress = Recorder()
    find_near_duplicates(images[:30], progress)
    assert progress.calls == ("finding near-duplicates", 30, "images", 30)


def test_the_section_counts_pairs_by_split_and_removes_leaked_test_images(trained, tmp_path):
    context = AuditContext.from_run(Run(shutil.copytree(trained, tmp_path / "run")))
    clean = NearDuplicateSection().compute(context, SILENT)
    train, test = context.dataset.train, context.dataset.test
    pixels = [np.array(part.pixels) for part in (train, test)]
    pixels[1][4] = pixels[0][10]  # across splits
    pixels[1][9] = mirrored(pixels[0][20])  # across splits
    pixels[0][31] = pixels[0][30]  # within the training split
    splits = {"train": Split(pixels[0], train.labels), "test": Split(pixels[1], test.labels)}
    context = replace(context, dataset=replace(context.dataset, **splits))
    result = NearDuplicateSection().compute(context, SILENT)
    assert result.cross_split == clean.cross_split + 2
    assert result.within_split["train"] == clean.within_split["train"] + 1
    assert list(result.within_split) == ["train", "validation", "test"]
    assert DuplicatePair("train/10", "test/4", 0.0, mirrored=False) in result.pairs[: result.cross_split]
    assert ("train/20", "test/9", True) in [(pair.first, pair.second, pair.mirrored) for pair in result.pairs]
    leaked = {
        int(pair.second.removeprefix("test/"))
        for pair in result.pairs
        if pair.first.startswith("train/") and pair.second.startswith("test/")
    }
    correct = context.classifier.probabilities(pixels[1]).argmax(1) == test.labels
    kept = np.array([index not in leaked for index in range(30)])
    assert result.n_test == 30
    assert result.accuracy == (correct.mean(), wilson_interval(int(correct.sum()), 30))
    n_correct = int(correct[kept].sum())
    assert result.accuracy_deduplicated == (n_correct / kept.sum(), wilson_interval(n_correct, int(kept.sum())))


def test_the_accuracy_without_any_clean_test_image_is_undefined(trained, tmp_path):
    context = AuditContext.from_run(Run(shutil.copytree(trained, tmp_path / "run")))
    train = context.dataset.train
    copies = Split(np.array(train.pixels[:5]), train.labels[:5])
    context = replace(context, dataset=replace(context.dataset, test=copies))
    result = NearDuplicateSection().compute(context, SILENT)
    assert (result.cross_split, result.accuracy_deduplicated) == (5, (0.0, (0.0, 1.0)))


PAIRS = (
    DuplicatePair("train/1", "test/2", 0.01, mirrored=False),
    DuplicatePair("test/3", "test/4", 0.0, mirrored=True),
)
STATISTICS = DuplicateStatistics(
    {"train": 1234, "validation": 0, "test": 1}, 1, 30, (0.9, (0.8, 0.95)), (0.875, (0.75, 0.95)), PAIRS
)


def test_the_summary_states_both_accuracies_and_their_numbers_of_images():
    assert NearDuplicateSection().summarize(STATISTICS) == (
        "1 of 30 test images have a near-duplicate in train or validation; "
        "accuracy 87.5% without them (n = 29), 90.0% with them"
    )


def test_the_grid_shows_both_images_of_a_pair():
    (table,) = NearDuplicateSection().rows(STATISTICS, limit=1)
    assert [[listed.image for listed in row.images] for row in table.rows] == [["train/1", "test/2"]]
    assert table.n_total == 2
    assert table.note == (
        "Pairs within a split: train 1,234, validation 0, test 1. Test images with a near-duplicate in another: 1."
    )


def test_the_summary_and_the_note_state_the_recall_of_the_search():
    planted = PlantedRecall(200, (0.985, wilson_interval(197, 200)), {"shifted": 0.925, "mirrored": 1.0})
    result = replace(STATISTICS, n_groups=3, largest_group=7, planted=planted)
    section = NearDuplicateSection()
    assert section.summarize(result).endswith("with them; search recall 98.5% (95.7% to 99.5%, n = 200)")
    assert len(section.summarize(result)) <= 200
    (table,) = section.rows(result, limit=1)
    assert table.note.endswith(
        " Groups: 3, the largest of 7 images. Of 200 planted copies, the search found 98.5% (95.7% to 99.5%): "
        "shifted 92.5%, mirrored 100.0%."
    )


def test_recall_is_high_on_images_with_contrast_and_has_a_wilson_interval(images):
    planted = measure_recall(images[:100])
    assert planted.n == 200
    assert list(planted.by_change) == ["shifted", "mirrored", "recompressed", "noisy", "brighter"]
    assert planted.recall[0] == pytest.approx(np.mean(list(planted.by_change.values())))
    assert planted.recall[1] == wilson_interval(round(200 * planted.recall[0]), 200)
    assert planted.recall[0] >= 0.95


def test_recall_is_low_where_a_change_destroys_the_images():
    random = np.random.default_rng(1).integers(0, 256, (50, 3, 32, 32), dtype=np.uint8)
    assert measure_recall(random).by_change["recompressed"] < 0.5  # white noise does not survive JPEG
