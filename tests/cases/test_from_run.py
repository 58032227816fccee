"""Case B10: more epochs than a run was trained for, and fine-tuning on other images and classes."""

import shlex
import signal

import numpy as np
import pytest
import torch

import tinysight as ts
from tinysight._util.errors import RecipeError, RunError
from tinysight._util.progress import SilentProgress

OPTIONS = {"precision": "fp32"}


@pytest.fixture
def started(finished_run):
    """A finished run of the recipe early-stopping, of two epochs on `shapes`."""
    return finished_run


def test_resuming_with_more_epochs_names_the_value_that_differs(tinysight, started):
    command = ("train", "early-stopping", "--data", "shapes:train=100,test=30", "--out", started, "--resume")
    message = tinysight(*command, "--epochs", 60).refusal()
    assert message == f"{started}: the run is finished. Choose another run directory to train again."


def test_training_goes_on_from_the_weights_of_a_run(started, tmp_path):
    run = ts.train(
        "early-stopping", "shapes:train=100,test=30", from_run=started, epochs=1, out=tmp_path / "new", **OPTIONS
    )
    assert run.summary().status == "finished"
    first = ts.Run.open(started)
    assert run.history()[0].loss < first.history()[0].loss
    assert any("started from the weights of run" in note for note in run.classifier().notes)


def test_zero_learning_rate_keeps_the_classifier(started, tmp_path):
    tiny = ["optimizer.learning_rate=1e-12", "model.architecture=deep", "data.normalization=standardize"]
    run = ts.train(
        "deep", "shapes:train=100,test=30", from_run=str(started), epochs=1, out=tmp_path / "new", overrides=tiny
    )
    before, after = ts.Run.open(started).classifier(), run.classifier()
    assert run.recipe().model == ts.Run.open(started).recipe().model
    assert run.recipe().data.normalization == "scale"
    for name, tensor in before.network.state_dict().items():
        torch.testing.assert_close(after.network.state_dict()[name], tensor, atol=1e-6, rtol=0)


def test_fine_tuning_on_other_classes(started, photos, tmp_path):
    run = ts.train("early-stopping", photos, from_run=started, epochs=2, out=tmp_path / "new", **OPTIONS)
    classifier = run.classifier()
    assert classifier.class_names == ("cat", "dog")
    assert classifier.probabilities(np.zeros((2, 3, 32, 32), np.uint8)).shape == (2, 2)


def test_an_optimizer_that_does_not_suit_the_network_is_refused(started, tmp_path):
    with pytest.raises(
        RecipeError, match=r"^Recipe fast-73 with the network of .*: optimizer\.bias_learning_rate is missing"
    ):
        ts.train("fast-73", "shapes:train=100,test=30", from_run=started, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_missing_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="nothing"):
        ts.train("deep", "shapes:train=100,test=30", from_run=tmp_path / "nothing", out=tmp_path / "new")


def test_command_line(tinysight, started):
    command = ("train", "early-stopping", "--data", "shapes:train=100,test=30", "--from", started, "--out", "new")
    outcome = tinysight(*command, "--epochs", 1)
    assert outcome.code == 0
    assert "Training started from the weights of run, which was trained on shapes." in outcome.err


class KilledError(BaseException):
    pass


class Killed(SilentProgress):
    """Ends the process at the first step."""

    def advance(self, amount, **metrics):
        raise KilledError


class CtrlC(SilentProgress):
    """Raises SIGINT at the first step."""

    def advance(self, amount, **metrics):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("again", [True, False])
def test_a_run_killed_before_its_first_epoch_resumes_from_the_weights_of_the_run(started, again, tmp_path):
    """The resumed training may name the run again, or the recipe that the killed one wrote."""
    options = {"epochs": 1, **OPTIONS}
    whole = ts.train("early-stopping", "shapes:train=100,test=30", from_run=started, out=tmp_path / "whole", **options)
    arguments = {"dataset": "shapes:train=100,test=30", "out": tmp_path / "killed", **OPTIONS}
    with pytest.raises(KilledError):
        ts.train("early-stopping", from_run=started, epochs=1, progress=Killed(), **arguments)
    recipe = {"recipe": "early-stopping", "from_run": started, "epochs": 1}
    if not again:
        recipe = {"recipe": tmp_path / "killed" / "recipe.toml"}
    resumed = ts.train(**recipe, resume=True, **arguments)
    assert resumed.summary().status == "finished"
    assert resumed.weights_checksum() == whole.weights_checksum()


def test_the_printed_command_resumes(tinysight, started, monkeypatch):
    command = ("train", "early-stopping", "--data", "shapes:train=100,test=30", "--from", started, "--out", "new")
    with monkeypatch.context() as patch:
        patch.setattr("tinysight.cli.train.progress", CtrlC())
        interrupted = tinysight(*command, "--epochs", 1)
    assert interrupted.code == 1
    assert tinysight(*shlex.split(interrupted.next)[1:]).code == 0
