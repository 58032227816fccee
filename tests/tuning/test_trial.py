"""A trial trains as `train` does, writes nothing, and never reads the test images."""

from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.dataset import Split
from tinysight.recipes import loading
from tinysight.training.request import TrainConfig
from tinysight.training.session import Session
from tinysight.tuning.trial import TrialContext, train_trial


class Untouchable:
    """Images that raise on any access."""

    def __getattr__(self, name):
        raise AssertionError(f"access to the test images: {name}")


def never(*_):
    return False


@pytest.fixture
def context(dataset, recipe):
    return TrialContext.create(dataset, recipe, seed=0, precision="fp32", device="cpu")


@pytest.mark.parametrize(
    "change", ["early_stopping.restore_best_weights=true", "early_stopping.restore_best_weights=false"]
)
def test_trial_has_the_accuracy_of_train(dataset, recipe, context, tmp_path, change):
    recipe = loading.parse_recipe(loading.dump_recipe(recipe), "recipe", [change, "training.epochs=3"])
    result = train_trial(context, recipe, 5, never, never)
    summary = Session(TrainConfig(recipe, dataset, "shapes", tmp_path / "run", seed=5)).run()
    assert result.ending == "finished"
    # `train` with seed 5 would split differently; all trials of a study share one split.
    expected = train_on(context, recipe, dataset, tmp_path)
    assert result.score == expected
    assert summary.epochs == result.epochs


def train_on(context, recipe, dataset, tmp_path):
    """Return the validation accuracy of `train` on the study's own split."""
    train_images, indices = context.split.train, context.split.train_indices
    train_part = Split(train_images.pixels[indices], train_images.labels[indices])
    split = replace(dataset, train=train_part, validation=context.split.validation)
    return Session(TrainConfig(recipe, split, "shapes", tmp_path / "split", seed=5)).run().val_accuracy


def test_test_images_are_never_read(dataset, recipe):
    guarded = replace(dataset, test=Split(Untouchable(), np.zeros(30, dtype=np.int64)))
    context = TrialContext.create(guarded, recipe, seed=0, precision="fp32", device="cpu")
    assert len(context.dataset.test) == 0
    assert train_trial(context, recipe, 0, never, never).ending == "finished"
    assert len(guarded.without_test().fingerprint) == 64


def test_exclude_lists_may_name_test_images_too(dataset, recipe, tmp_path):
    (tmp_path / "list.csv").write_text("image\ntrain/0\ntest/1\n")
    excluding = recipe.with_excluded(tmp_path / "list.csv")
    with_all = TrialContext.create(dataset, recipe, 0, "fp32", "cpu").split
    without = TrialContext.create(dataset, excluding, 0, "fp32", "cpu").split
    assert (
        len(with_all.train_indices) + len(with_all.validation) - len(without.train_indices) - len(without.validation)
        == 1
    )


def test_diverging_training_fails_with_an_error(context, recipe):
    wild = loading.parse_recipe(loading.dump_recipe(recipe), "recipe", ["optimizer.learning_rate=100"])
    wild = wild.model_copy(update={"optimizer": wild.optimizer.model_copy(update={"learning_rate": 1e30})})
    result = train_trial(context, wild, 0, never, never)
    assert result.ending == "failed"
    assert "training diverged" in result.error


def test_out_of_memory_fails_only_the_trial(context, recipe, monkeypatch):
    def full(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("tinysight.tuning.trial.build_trainer", full)
    assert "not enough memory" in train_trial(context, recipe, 0, never, never).error


def test_pruning_happens_between_epochs(context, recipe):
    calls = []
    result = train_trial(context, recipe, 0, lambda *epoch: calls.append(epoch) or True, never)
    assert (result.ending, result.epochs, result.score) == ("pruned", 1, calls[0][1])
    assert calls[0][0] == 1


def test_nothing_is_pruned_after_the_last_epoch(context, recipe):
    assert train_trial(context, recipe, 0, lambda epoch, _: epoch == 2, never).ending == "finished"


def test_stop_takes_effect_after_the_current_step(context, recipe):
    result = train_trial(context, recipe, 0, never, lambda: True)
    assert (result.ending, result.epochs, result.score) == ("stopped", 0, 0.0)
