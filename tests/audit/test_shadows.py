"""Shadow models: trained on what they are said to know, and asked about everything."""

import numpy as np
import pytest

from tinysight.audit.shadows import Shadow, Shadows, train_shadow
from tinysight.data.load import load
from tinysight.recipes import loading

LEARNS_BY_HEART = ["training.epochs=30", "early_stopping.patience=30"]


@pytest.fixture(scope="module")
def shadow():
    dataset = load("shapes:train=200,test=30")
    recipe = loading.load("early-stopping", LEARNS_BY_HEART)
    return dataset, train_shadow(recipe, dataset, dataset.train, 0, seed=0, precision="fp32")


def test_it_knows_half_of_the_images_better_than_the_others(shadow):
    dataset, one = shadow
    right = one.logits.argmax(1) == dataset.train.labels
    assert one.knows.sum() == 100
    assert one.logits.shape == (200, 10)
    assert right[one.knows].mean() > right[~one.knows].mean() + 0.2


def test_the_same_seed_trains_the_same_shadow(shadow):
    dataset, one = shadow
    recipe = loading.load("early-stopping", LEARNS_BY_HEART)
    again = train_shadow(recipe, dataset, dataset.train, 0, seed=0, precision="fp32")
    assert np.array_equal(again.logits, one.logits)


def test_of_each_image_those_speak_that_do_not_know_it():
    knows = np.array([[True, False], [False, True], [False, False]])
    logits = np.array([[[9.0, 0.0]] * 2, [[0.0, 9.0]] * 2, [[0.0, 9.0]] * 2], dtype=np.float32)
    shadows = Shadows.of([Shadow(*pair) for pair in zip(knows, logits, strict=True)], np.array([0, 0]))
    found = shadows.strangers_probabilities()
    assert found[0].round(2).tolist() == [0.0, 1.0]
    assert found[1].round(2).tolist() == [0.5, 0.5]
