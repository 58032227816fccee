"""Folders of a few images: what `train` says about few steps, an early end and a chance result (cases D7, D8, D11)."""

import json

import pytest

QUICK = ("--precision", "fp32", "--set", "data.image_size=16", "--set", "data.validation_fraction=0.2")


@pytest.fixture
def train(tmp_path, folder, tinysight):
    """Return a function that trains on 45 images; it gives the output and the summary."""

    def train(*arguments):
        data, run = folder(tmp_path / "data", 15), tmp_path / "run"
        outcome = tinysight("train", "early-stopping", "--data", data, "--out", run, *QUICK, *arguments)
        assert outcome.code == 0
        return " ".join(outcome.err.split()), outcome.out, json.loads((run / "summary.json").read_text())

    return train


def test_a_training_of_few_steps_says_so(train):
    notices, _, summary = train("--epochs", "1", "--set", "optimizer.learning_rate=1e-9")
    assert f"Few steps: 1 in all, since an epoch of {summary['train_images']} images has only 1." in notices
    assert "Set training.minutes, or increase training.epochs." in notices


def test_a_short_training_on_many_images_is_not_warned_about(tinysight):
    data = ("--data", "shapes:train=2500,test=20")
    outcome = tinysight("train", "strided", *data, "--epochs", 1, "--precision", "fp32", "--out", "run")
    assert outcome.code == 0
    assert "Few steps" not in outcome.err


def test_an_early_end_names_the_metric_and_what_was_not_used(train):
    notices, _, summary = train("--epochs", "9", "--set", "early_stopping.min_delta=100")
    assert summary["epochs"] == 3
    assert "Early stopping: val_loss has not improved for 2 epochs, since " in notices
    assert "in epoch 1. Kept the weights of epoch 1. Not used: 6 of 9 epochs." in notices


def test_a_validation_accuracy_has_its_interval_and_the_baseline(train):
    _, output, summary = train("--epochs", "1")
    n, baseline = summary["val_images"], summary["val_majority"]
    assert f"validation accuracy {summary['val_accuracy']:.1%} (n = {n}, " in output
    assert f"%; always '{baseline['name']}' would be right for {baseline['accuracy']:.1%}), balanced " in output
