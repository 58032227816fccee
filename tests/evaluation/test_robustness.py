"""Robustness: accuracy on corrupted images."""

import numpy as np
import pytest

from tinysight.data.load import load
from tinysight.evaluation.corruptions import CORRUPTIONS
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
