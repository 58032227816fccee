"""A trial trains as `train` does, keeps nothing, and never looks at the test images."""

from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.dataset import Part
from tinysight.recipes import loading
from tinysight.training.train import Plan, train
from tinysight.tuning.trial import Subject, attempt


class Poison:
    """Images that must not be touched."""

    def __getattr__(self, name):
        raise AssertionError(f"somebody asked the test images for {name}")


def never(*_):
    return False


@pytest.fixture
def subject(dataset, recipe):
    return Subject.of(dataset, recipe, seed=0, precision="fp32", device="cpu")


@pytest.mark.parametrize("change", ["early_stopping.restore_best=true", "early_stopping.restore_best=false"])
def test_it_comes_as_far_as_the_training_that_is_kept(dataset, recipe, subject, tmp_path, change):
    recipe = loading.parse(loading.dump(recipe), "recipe", [change, "training.epochs=3"])
    outcome = attempt(subject, recipe, 5, never, never)
    summary = train(Plan(recipe, dataset, "shapes", 5, "fp32"), tmp_path / "run")
    assert outcome.ending == "finished"
    # Another seed would cut other validation images: those of a study are always the same.
    expected = train_on(subject, recipe, dataset, tmp_path)
    assert outcome.accuracy == expected
    assert summary.epochs == outcome.epochs


def train_on(subject, recipe, dataset, tmp_path):
    """Return the validation accuracy of `train`, given the study's own cut as a dataset that brings its validation."""
    train_part = Part(
        subject.images.train.pixels[subject.images.learn], subject.images.train.labels[subject.images.learn]
    )
    cut = replace(dataset, train=train_part, validation=subject.images.validation)
    return train(Plan(recipe, cut, "shapes", 5, "fp32"), tmp_path / "cut").val_accuracy


def test_the_test_images_are_never_looked_at(dataset, recipe):
    poisoned = replace(dataset, test=Part(Poison(), np.zeros(30, dtype=np.int64)))
    subject = Subject.of(poisoned, recipe, seed=0, precision="fp32", device="cpu")
    assert len(subject.dataset.test) == 0
    assert attempt(subject, recipe, 0, never, never).ending == "finished"
    assert len(poisoned.without_test().fingerprint) == 64


def test_images_are_excluded_by_lists_that_name_test_images_too(dataset, recipe, tmp_path):
    (tmp_path / "list.csv").write_text("image\ntrain/0\ntest/1\n")
    excluding = recipe.excluding(tmp_path / "list.csv")
    with_all = Subject.of(dataset, recipe, 0, "fp32", "cpu").images
    without = Subject.of(dataset, excluding, 0, "fp32", "cpu").images
    assert len(with_all.learn) + len(with_all.validation) - len(without.learn) - len(without.validation) == 1


def test_a_training_that_diverges_fails_with_its_sentence(subject, recipe):
    wild = loading.parse(loading.dump(recipe), "recipe", ["optimiser.learning_rate=100"])
    wild = wild.model_copy(update={"optimiser": wild.optimiser.model_copy(update={"learning_rate": 1e30})})
    outcome = attempt(subject, wild, 0, never, never)
    assert outcome.ending == "failed"
    assert "training diverged" in outcome.error


def test_too_little_memory_fails_the_trial_and_nothing_else(subject, recipe, monkeypatch):
    def full(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("tinysight.tuning.trial.Trainer", full)
    assert "not enough memory" in attempt(subject, recipe, 0, never, never).error


def test_it_is_given_up_between_epochs(subject, recipe):
    told = []
    outcome = attempt(subject, recipe, 0, lambda *epoch: told.append(epoch) or True, never)
    assert (outcome.ending, outcome.epochs, outcome.accuracy) == ("pruned", 1, told[0][1])
    assert told[0][0] == 1


def test_nothing_is_given_up_after_the_last_epoch(subject, recipe):
    assert attempt(subject, recipe, 0, lambda epoch, _: epoch == 2, never).ending == "finished"


def test_it_is_stopped_after_the_step_in_hand(subject, recipe):
    outcome = attempt(subject, recipe, 0, never, lambda: True)
    assert (outcome.ending, outcome.epochs, outcome.accuracy) == ("stopped", 0, 0.0)
