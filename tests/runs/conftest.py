"""Fixtures: a run directory written without training."""

import numpy as np
import pytest
import torch

from tinysight._util import optional_deps
from tinysight._util.hardware import processor_name
from tinysight.data.dataset import Provenance
from tinysight.models.classifier import Classifier, ClassifierSpec
from tinysight.models.registry import build_network
from tinysight.recipes import loading
from tinysight.recipes.schema import ModelSection
from tinysight.runs.records import (
    CalibrationMetrics,
    ClassScores,
    DatasetRecord,
    Environment,
    EpochRecord,
    MetricIntervals,
    Metrics,
    ScoreIntervals,
    SelectiveMetrics,
    Summary,
    sha256_hex,
)
from tinysight.runs.run import Run


def make_metrics(weights_sha256):
    """Return metrics of two images, of which one is classified correctly."""
    scores = ClassScores(precision=0.5, recall=0.5, f1=0.5, support=1)
    bounds = ScoreIntervals(precision=(0, 1), recall=(0, 1), f1=(0, 1))
    by_class = {"cat": bounds, "dog": bounds}
    intervals = {
        "method": "none",
        "accuracy_tta": None,
        "balanced_accuracy": (0, 1),
        "loss": (0, 1),
        "calibration_error": (0, 1),
    }
    return Metrics(
        split="test",
        n=2,
        accuracy=0.5,
        accuracy_ci95=(0.1, 0.9),
        balanced_accuracy=0.5,
        loss=0.7,
        accuracy_tta=None,
        per_class={"cat": scores, "dog": scores},
        macro=scores,
        weighted=scores,
        confusion_matrix=((1, 0), (1, 0)),
        calibration=CalibrationMetrics(ece=0.1, rms_error=0.1, temperature=1.5, bins=()),
        selective=SelectiveMetrics(
            threshold=0.5,
            coverage=1,
            coverage_ci95=(0, 1),
            error=0.5,
            error_ci95=(0, 1),
            aurc=0.5,
            curve=((1, 0.5),),
        ),
        intervals=MetricIntervals(**intervals, macro=bounds, weighted=bounds, per_class=by_class),
        weights_sha256=weights_sha256,
    )


@pytest.fixture
def metrics():
    """Return a function that makes metrics of the weights with a checksum."""
    return make_metrics


@pytest.fixture
def recipe():
    return loading.load_recipe("early-stopping", ["data.image_size=16"])


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    model = ModelSection(architecture="early-stopping")
    network = build_network(model, 2, 16)
    spec = ClassifierSpec(
        model=model,
        class_names=("cat", "dog"),
        image_size=16,
        std=(200.0, 201.0, 202.0),
        temperature=1.5,
        bf16_margin=0.25,
        tta_shift=1,
        notes=("painted",),
    )
    return Classifier(spec, network)


@pytest.fixture
def environment():
    return Environment(
        versions={"python": "3.11.7", "torch": optional_deps.version("torch")},
        processor=processor_name(),
        cpu_features=("avx2",),
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
            provenance=Provenance(),
            source="a folder",
            is_official=None,
            notes=("café",),
        ),
    )


@pytest.fixture
def history():
    values = {"seconds": 1.5, "images_per_second": 60.0, "val_loss": 1.1, "val_accuracy": 0.5, "lr": 0.001}
    return [EpochRecord(epoch=number, loss=2 / number, accuracy=0.1 * number, **values) for number in (1, 2, 3)]


@pytest.fixture
def summary(history):
    checksum = sha256_hex("".join(f"{epoch.model_dump_json()}\n" for epoch in history))
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
    run.write_metrics(make_metrics(run.weights_checksum()))
    run.write_predictions(np.eye(2, dtype=np.float32), np.array([0, 1]))
    return run
