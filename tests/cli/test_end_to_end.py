"""The whole workflow: train on a folder of images, evaluate, predict."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tinysight.data.load import load
from tinysight.runs.run import Run

DATA_DIR = os.environ.get("TINYSIGHT_DATA_DIR", "")


def test_train_evaluate_and_predict_on_a_folder(tinysight, photos):
    shutil.copytree(photos, "pets")
    trained = tinysight("train", "strided", "--data", "pets", "--epochs", 4, "--out", "run", "--precision", "fp32")
    assert trained.code == 0
    assert "8 images, a fifth of each class, were chosen at random" in trained.err

    evaluated = tinysight("evaluate", "run")
    assert evaluated.code == 0
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert (metrics["n"], list(metrics["per_class"])) == (8, ["cat", "dog"])
    assert metrics["accuracy"] == 1  # reddish and bluish images are easy to separate

    predicted = tinysight("predict", "run", "pets/cat", "pets/dog/00.png", "--test-index", 0, "--json")
    assert (predicted.code, predicted.err) == (0, "")
    predictions = json.loads(predicted.out)["predictions"]
    assert [prediction["top"][0]["class"] for prediction in predictions[:21]] == ["cat"] * 20 + ["dog"]
    assert predictions[21]["label"] == predictions[21]["top"][0]["class"]
    assert predictions[0]["unsure"]  # the few validation images cannot keep the promise of the target error


@pytest.fixture
def run_on_pets(tinysight, photos):
    shutil.copytree(photos, "pets")
    assert tinysight("train", "strided", "--data", "pets", "--epochs", 1, "--out", "run").code == 0
    return Path("run")


def test_a_relative_dataset_path_works_from_any_directory(tinysight, run_on_pets, monkeypatch):
    monkeypatch.chdir("pets")
    assert tinysight("evaluate", "../run").code == 0


def test_an_image_of_another_class_is_named_and_other_images_are_refused(tinysight, run_on_pets):
    shutil.move("pets/cat/00.png", "pets/dog/99.png")
    assert "images differ: 1 with another label (cat/00.png)" in tinysight("evaluate", "run").err
    (run_on_pets / "metrics.json").unlink()
    for path in Path("pets").rglob("*.png"):
        ImageOps.invert(Image.open(path).convert("RGB")).save(path)
    assert "not the images that run was trained on" in tinysight("evaluate", "run").refusal()
    assert not (run_on_pets / "metrics.json").exists()
    shutil.rmtree("pets")
    assert tinysight("evaluate", "run").refusal().endswith("but run was trained on it. Set --data if it has moved.")


def test_an_unreadable_file_is_named_or_skipped_on_request(tinysight, photos):
    shutil.copytree(photos, "pets")
    Path("pets/cat/99.png").write_text("not an image")
    command = ("train", "strided", "--data", "pets", "--epochs", 1, "--out", "run")
    refused = tinysight(*command)
    assert refused.code == 2
    assert "--skip-unreadable" in refused.err
    assert "pets/cat/99.png: not a JPEG" in refused.err
    assert not Path("run").exists()
    trained = tinysight(*command, "--skip-unreadable")
    assert trained.code == 0
    assert "1 of 41 image files in" in trained.err
    assert tinysight("evaluate", "run").code == 0


@pytest.mark.data
@pytest.mark.skipif(not DATA_DIR, reason="TINYSIGHT_DATA_DIR is not set")
def test_train_evaluate_predict_and_export_on_cifar10(tinysight, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from tinysight.interop.onnx.runtime import OnnxFile

    monkeypatch.setenv("TINYSIGHT_DATA_DIR", DATA_DIR)
    assert tinysight("train", "fast-73", "--epochs", 1, "--out", "run").code == 0
    assert tinysight("evaluate", "run").code == 0
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert (metrics["n"], metrics["dataset"]) == (10_000, "cifar10")
    assert metrics["accuracy"] > 0.3  # after one epoch

    (prediction,) = json.loads(tinysight("predict", "run", "--test-index", 16, "--json").out)["predictions"]
    assert prediction["label"] == "dog"

    # All test images get the same class from the exported network.
    assert "onnxruntime.InferenceSession" in tinysight("export", "run", "--to", "onnx", "model.onnx").out
    test = load("cifar10").test
    ours = Run(Path("run")).classifier().with_spec(bf16_margin=None).probabilities(test.pixels)  # float32 only
    theirs = OnnxFile(Path("model.onnx")).classifier().probabilities(test.pixels)
    assert (ours.argmax(1) == theirs.argmax(1)).all()
    assert np.abs(ours - theirs).max() < 1e-4
    evaluated = tinysight("evaluate", "model.onnx", "--data", "cifar10")
    assert f"test accuracy {(theirs.argmax(1) == test.labels).mean():.1%} (n = 10,000)" in evaluated.out
