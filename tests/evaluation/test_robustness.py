"""Robustness: accuracy on corrupted images."""

import numpy as np
import pytest
import torch

from tinysight._util.progress import SilentProgress
from tinysight.data.load import load
from tinysight.data.splits import subset
from tinysight.evaluation.corruptions import CORRUPTIONS, Corruption
from tinysight.evaluation.robustness import corrupt_images, measure_robustness
from tinysight.runs.run import Run
from tinysight.training.seeding import seeded_generator


@pytest.fixture(scope="module")
def measured(trained):
    classifier, test = Run(trained).classifier(), load("shapes:train=100,test=30").test
    return classifier, test, measure_robustness(classifier, test, seed=5)


def test_every_corruption_has_one_accuracy_per_severity(measured):
    _, test, robustness = measured
    assert robustness.n == len(test)
    assert set(robustness.accuracy) == set(CORRUPTIONS)
    assert {len(values) for values in robustness.accuracy.values()} == {5}
    assert robustness.mean == pytest.approx(np.mean([np.mean(values) for values in robustness.accuracy.values()]))


def test_accuracy_equals_that_on_corrupted_images(measured):
    classifier, test, robustness = measured
    pixels = corrupt_images(test.pixels, CORRUPTIONS["contrast"], 5, seeded_generator(5, "corruption contrast", 5))
    accuracy = (classifier.probabilities(pixels).argmax(1) == test.labels).mean()
    assert robustness.accuracy["contrast"][4] == pytest.approx(accuracy)
    assert robustness.clean_accuracy == (classifier.probabilities(test.pixels).argmax(1) == test.labels).mean()


@pytest.mark.parametrize(("name", "severity"), [("gaussian noise", 4), ("snow", 1), ("elastic transform", 5)])
def test_random_corruptions_are_seeded_by_name_and_severity(measured, name, severity):
    classifier, test, robustness = measured
    generator = seeded_generator(5, f"corruption {name}", severity)
    pixels = corrupt_images(test.pixels, CORRUPTIONS[name], severity, generator)
    accuracy = (classifier.probabilities(pixels).argmax(1) == test.labels).mean()
    assert robustness.accuracy[name][severity - 1] == pytest.approx(accuracy)


def added(amount):
    """A corruption that adds an amount in gray levels."""
    return Corruption(lambda images: images + amount / 255, ((),) * 5, is_random=False)


@pytest.mark.parametrize(("amount", "difference"), [(0, 0), (0.4, 0), (0.6, 1), (-0.6, -1), (3, 3)])
def test_corrupted_images_are_rounded_to_gray_levels(amount, difference):
    levels = np.arange(5, 245, dtype=np.uint8).reshape(1, 3, 8, 10)
    changed = corrupt_images(levels, added(amount), 1, torch.Generator())
    assert changed.dtype == np.uint8
    assert np.array_equal(changed.astype(int), levels.astype(int) + difference)


def test_batches_are_corrupted_in_order_and_clipped():
    """A batch has 2**19 / 64**2 = 128 images."""
    pixels = np.random.default_rng(0).integers(0, 256, (270, 3, 64, 64), dtype=np.uint8)
    changed = corrupt_images(pixels, added(2), 1, torch.Generator())
    assert np.array_equal(changed, np.minimum(pixels.astype(int) + 2, 255))


def test_progress_counts_every_image_under_every_corruption(measured):
    class Recorder(SilentProgress):
        started, advanced = (), 0

        def start(self, task, total, unit=""):
            self.started += (task, total, unit)

        def advance(self, amount, **metrics):
            self.advanced += amount

    classifier, test, _ = measured
    progress, few = Recorder(), subset(test, np.arange(3))
    result = measure_robustness(classifier, few, progress=progress)
    assert progress.started == ("corrupting", 15 * 5 * 3, "images")
    assert progress.advanced == 15 * 5 * 3
    generator = seeded_generator(0, "corruption fog", 3)  # the default seed
    pixels = corrupt_images(few.pixels, CORRUPTIONS["fog"], 3, generator)
    assert result.accuracy["fog"][2] == (classifier.probabilities(pixels).argmax(1) == few.labels).mean()
    assert result.clean_accuracy == (classifier.probabilities(few.pixels).argmax(1) == few.labels).mean()
