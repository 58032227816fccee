"""A tiny dataset that trains in seconds, and training configurations for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinysight.data.dataset import Dataset, Split
from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.training.request import TrainConfig
from tinysight.training.session import Session

SIZE = 16
COLORS = np.array([[170, 90, 90], [90, 170, 90], [90, 90, 170], [150, 150, 60]])

RECIPE = f"""
name = "tiny"
[data]
image_size = {SIZE}
validation_fraction = 0.2
[model]
architecture = "early-stopping"
[training]
epochs = 2
batch_size = 24
"""


def _part(count, random):
    labels = random.permutation(np.arange(count) % len(COLORS))
    noise = random.normal(0, 60, (count, 3, SIZE, SIZE))
    return Split((COLORS[labels][:, :, None, None] + noise).clip(0, 255).astype(np.uint8), labels)


@pytest.fixture(scope="session")
def dataset():
    """200 noisy 16x16 images of four colors, one color per class."""
    random = np.random.default_rng(0)
    return Dataset("tiny", _part(200, random), _part(40, random), ("red", "green", "blue", "olive"), "made up")


@pytest.fixture(scope="session")
def recipe():
    """Return a function from `key=value` overrides to a recipe for the tiny images."""
    return lambda *changes: loading.parse_recipe(RECIPE, "tiny.toml", changes)


@pytest.fixture(scope="session")
def plan(dataset, recipe):
    """Return a function from `key=value` overrides and a seed to a training configuration for the tiny images."""

    def make(*changes, seed=0, precision="fp32"):
        return TrainConfig(recipe(*changes), dataset, "tiny", Path("nowhere"), seed, precision)

    return make


@pytest.fixture(scope="session")
def train():
    """Return a function that trains a configuration in a run directory and returns the summary."""

    def train(config, path, resume=False, **arguments):
        return Session(replace(config, path=path, resume=resume), **arguments).run()

    return train


@pytest.fixture(scope="session")
def weights():
    """Return a function from a run directory to the weights of its classifier, by name."""
    return lambda path: Run(path).classifier().network.state_dict()
