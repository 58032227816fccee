"""The `resnet-9` family trains, resumes, exports, explains and serves."""

import json
import signal

import numpy as np
import pytest
import torch

import tinysight as ts
from tinysight._util.errors import RecipeError
from tinysight._util.progress import SILENT, SilentProgress
from tinysight.data.image_io import read_crops
from tinysight.data.load import load
from tinysight.explanation.feature_index import FeatureIndex, extract_features
from tinysight.explanation.occlusion import occlusion_maps
from tinysight.models.layers import ResidualBlock
from tinysight.models.registry import build_network
from tinysight.models.summary import count_parameters, layer_table
from tinysight.recipes.loading import load_recipe
from tinysight.recipes.schema import ModelSection
from tinysight.runs.run import Run
from tinysight.training.request import TrainConfig
from tinysight.training.session import Session

DATA = "shapes:train=100,test=30"


def build(classes=10, size=32, channels=None):
    return build_network(ModelSection(architecture="resnet-9", channels=channels), classes, size)


def train(path, *overrides, resume=False, progress=SILENT):
    """Train a small network on 100 images."""
    small = ("model.channels=[8,8,16,16]", "training.epochs=2", "training.batch_size=30", *overrides)
    config = TrainConfig(load_recipe("resnet-9", small), load(DATA), DATA, path, resume=resume)
    return Session(config, progress=progress).run()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The directory of a finished run."""
    path = tmp_path_factory.mktemp("resnet") / "run"
    train(path)
    return path


@pytest.fixture(scope="module")
def classifier(path):
    return Run(path).classifier()


@pytest.fixture(scope="module")
def pixels():
    return load(DATA).test.pixels


def test_parameter_count_is_that_of_the_published_network():
    """Nine layers: 3x3 convolutions with batch normalization, and the linear layer with its bias."""
    pairs = [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]
    expected = sum(9 * inputs * outputs + 2 * outputs for inputs, outputs in pairs) + 512 * 10 + 10
    assert count_parameters(build()) == expected == 6_573_130


def test_too_small_images_and_wrong_numbers_of_channels_are_rejected():
    with pytest.raises(RecipeError, match=r"15x15: too small .* Increase data\.image_size to 16"):
        build(size=15)
    with pytest.raises(RecipeError, match=r"model\.channels: 2 entries\. Give resnet-9 four"):
        build(channels=[16, 16])


def test_batch_of_one_smallest_image_can_be_trained_on():
    assert build(size=16, channels=[8, 8, 8, 8]).train()(torch.randn(1, 3, 16, 16)).isfinite().all()


def test_block_adds_its_input_to_its_output():
    block = next(
        module for module in build(channels=[8, 8, 8, 8]).eval().modules() if isinstance(module, ResidualBlock)
    )
    images = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(images), block.body(images) + images)


def test_summary_lists_the_sums():
    rows = layer_table(build(channels=[8, 8, 16, 16]), 32)
    assert [row.output for row in rows if row.layer == "Add"] == ["(n, 16, 16, 8)", "(n, 4, 4, 16)"]
    assert sum(row.parameters for row in rows) == count_parameters(build(channels=[8, 8, 16, 16]))


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
def test_network_learns_with_every_optimizer(optimizer, tmp_path):
    train(tmp_path / "run", f"optimizer.name={optimizer}", "training.epochs=6", "augmentation.cutout=0")
    history = Run(tmp_path / "run").history()
    assert history[-1].loss < 0.9 * history[0].loss


class CtrlC(SilentProgress):
    """Raises SIGINT after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def advance(self, amount, **metrics):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def test_interrupted_and_resumed_run_equals_an_uninterrupted_one(path, tmp_path):
    assert train(tmp_path / "run", progress=CtrlC(4)).status == "interrupted"
    assert train(tmp_path / "run", resume=True).status == "finished"
    resumed, expected = (Run(run).classifier().network.state_dict() for run in (tmp_path / "run", path))
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised inside Keras
def test_keras_export_is_a_functional_model_with_the_same_probabilities(classifier, pixels, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    from tinysight.interop.keras.exporter import EXPORTER

    EXPORTER.export(classifier, tmp_path / "exported")
    model = keras.models.load_model(tmp_path / "exported" / "model.keras")
    assert sum(isinstance(layer, keras.layers.Add) for layer in model.layers) == 2
    probabilities = np.asarray(model(pixels.transpose(0, 2, 3, 1).astype("float32"), training=False).detach())
    assert np.abs(probabilities - classifier.probabilities(pixels)).max() < 1e-4
    imported = ts.import_keras(tmp_path / "exported" / "model.keras", out=tmp_path / "imported").classifier()
    assert np.abs(probabilities - imported.probabilities(pixels)).max() < 1e-4


def test_predictions_are_explained(classifier, pixels):
    pytest.importorskip("captum")
    maps = occlusion_maps(classifier, pixels[:3], np.arange(3))
    assert maps.shape == (3, 32, 32)
    index = FeatureIndex(classifier, extract_features(classifier, pixels))
    assert index.features.shape == (30, 16)
    assert index.nearest(pixels[:5], 1).indices[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_command_line_predicts_evaluates_and_summarizes(tinysight, path, photos):
    predicted = tinysight("predict", path, photos / "cat" / "00.png", "--json")
    assert len(json.loads(predicted.out)["predictions"][0]["top"]) == 3
    assert "Add" in tinysight("summary", path).out


def test_run_is_served(path, classifier, photos):
    pytest.importorskip("httpx2")
    from fastapi.testclient import TestClient

    from tinysight.serving.app import create_app
    from tinysight.serving.served_model import ServedModel

    content = (photos / "cat" / "00.png").read_bytes()
    with TestClient(create_app(ServedModel(Run(path)))) as client:
        response = client.post("/predict", content=content, headers={"Content-Type": "image/png"})
    assert response.status_code == 200, response.text
    expected = np.sort(classifier.probabilities(read_crops(content, (32, 32), classifier.crops)[:1])[0])[::-1]
    assert [entry["probability"] for entry in response.json()["top"]] == pytest.approx(expected[:3].tolist(), abs=1e-6)
