"""A user's own network trains, resumes, and is opened with the function that built it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import tinysight as ts
from tinysight._util.errors import InputError, RecipeError, RunError
from tinysight.data.sources import shapes
from tinysight.runs.run import Run
from tinysight.training.trainer import Trainer

DATA = "shapes:train=100,test=30"


class Small(torch.nn.Module):
    """A network with a buffer that is not saved."""

    def __init__(self, num_classes, image_size):
        super().__init__()
        self.register_buffer("offset", torch.full((1, 3, 1, 1), 0.5), persistent=False)
        self.convolution, self.output = torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.Linear(8, num_classes)

    def features(self, images):
        return self.convolution(images - self.offset).relu().mean((2, 3))

    def forward(self, images):
        return self.output(self.features(images))


def train(path, **keywords):
    keywords = {"epochs": 2, "precision": "fp32", "network": Small} | keywords
    return ts.train("early-stopping", DATA, out=path, **keywords)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("custom") / "run")


@pytest.fixture(scope="module")
def pixels():
    return shapes.render_shapes(20, seed=4).pixels


def test_files_name_no_function(run):
    model = json.loads((run.path / "model.json").read_text())
    assert model["model"]["architecture"] == "custom"
    assert not any("Small" in path.read_text(errors="replace") for path in run.path.rglob("*") if path.is_file())


def test_run_is_opened_with_the_same_factory(run, pixels):
    assert run.network is Small
    opened = Run.open(run.path, Small)
    assert opened == run
    assert isinstance(opened.classifier().network, Small)
    expected = run.classifier().probabilities(pixels)
    assert np.array_equal(opened.classifier().probabilities(pixels), expected)
    assert ts.evaluate(opened).accuracy == ts.evaluate(run).accuracy


def test_opening_leaves_the_random_generator_unchanged(run):
    before = torch.random.get_rng_state()
    run.classifier()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_run_without_the_factory_is_rejected(run):
    with pytest.raises(RunError, match=r"built by the code that trained it\. Open the run .* Run\.open\(path, network"):
        Run.open(run.path).classifier()


def test_command_line_rejects_the_run_in_one_sentence(run):
    command = [sys.executable, "-m", "tinysight", "evaluate", str(run.path)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode in (1, 2)
    assert "its network is built by the code that trained it" in completed.stderr
    assert "Traceback" not in completed.stderr


def test_other_network_is_rejected(run):
    def other(num_classes, image_size):
        return torch.nn.Linear(3, num_classes)

    with pytest.raises(RunError, match="the shapes of the weights do not match"):
        Run.open(run.path, other).classifier()


def test_factory_is_ignored_for_a_built_in_network(trained, pixels):
    expected = Run.open(trained).classifier().probabilities(pixels)
    assert np.array_equal(Run.open(trained, Small).classifier().probabilities(pixels), expected)


def test_interrupted_training_is_resumed_with_the_factory(run, tmp_path, monkeypatch):
    step, steps = Trainer.step, []

    def interrupted(trainer):
        steps.append(trainer)
        if len(steps) == 2:
            raise KeyboardInterrupt
        return step(trainer)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run")
    monkeypatch.undo()
    resumed = train(tmp_path / "run", resume=True)
    weights, expected = (each.classifier().network.state_dict() for each in (resumed, run))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_several_workers_are_rejected(tmp_path):
    with pytest.raises(InputError, match=r"network: cannot be sent to other processes\. Use one worker"):
        train(tmp_path / "run", workers=2)
    assert not (tmp_path / "run").exists()


def test_custom_recipe_without_a_factory_is_rejected(tmp_path):
    with pytest.raises(RecipeError, match="Pass network=factory"):
        train(tmp_path / "run", network=None, overrides=["model.architecture=custom"])
    assert not (tmp_path / "run").exists()
