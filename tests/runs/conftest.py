"""Fixtures: a run directory written without training."""

import numpy as np
import pytest
import torch

from tinysight import packages
from tinysight.machine import processor_name
from tinysight.models.classifier import Classifier, Normalisation
from tinysight.models.registry import build
from tinysight.recipes import loading
from tinysight.recipes.schema import Model
from tinysight.runs.records import DatasetRecord, Environment, Epoch, Summary, digest
from tinysight.runs.run import Run


@pytest.fixture
def recipe():
    return loading.load("early-stopping", ["data.image_size=16"])


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    model = Model(architecture="early-stopping")
    network = build(model, 2, 16)
    scale = Normalisation(std=(200.0, 201.0, 202.0))
    return Classifier(model, network, ("cat", "dog"), 16, scale, 1.5, doubt=0.25, tta_shift=1, remarks=("painted",))


@pytest.fixture
def environment():
    return Environment(
        versions={"python": "3.11.7", "torch": packages.version("torch")},
        processor=processor_name(),
        features=("avx2",),
        system="a system",
        threads=2,
        device="cpu",
        precision="fp32",
        seed=3,
        git_commit=None,
        dataset=DatasetRecord(
            name="photos",
            argument="/photos",
            data_dir=None,
            fingerprint="abc",
            source="a folder",
            published=None,
            remarks=("café",),
        ),
    )


@pytest.fixture
def history():
    values = {"seconds": 1.5, "images_per_second": 60.0, "val_loss": 1.1, "val_accuracy": 0.5, "lr": 0.001}
    return [Epoch(epoch=number, loss=2 / number, accuracy=0.1 * number, **values) for number in (1, 2, 3)]


@pytest.fixture
def summary(history):
    checksum = digest("".join(f"{epoch.model_dump_json()}\n" for epoch in history))
    totals = {"epochs": 3, "val_accuracy": 0.5, "history_sha256": checksum}
    return Summary(status="finished", recipe="early-stopping", dataset="photos", **totals)


@pytest.fixture
def create(recipe, environment, summary):
    """Return a function that creates a run at a path."""
    return lambda path: Run.create(path, recipe, environment, summary)


@pytest.fixture
def run(tmp_path, create, summary, history, classifier):
    run = create(tmp_path / "run")
    run.write_history(history)
    run.write_classifier(classifier)
    run.write_summary(summary)
    run.write_metrics({"format": 3, "accuracy": 0.5, "split": "test"}, run.weights_seal())
    run.write_predictions(np.eye(2, dtype=np.float32), np.array([0, 1]))
    return run
