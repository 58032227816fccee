"""Predictions: values, order, labels and the unsure flag."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from tinysight._util.errors import InputError
from tinysight.data.image_io import read_image
from tinysight.data.load import load
from tinysight.evaluation import predict as module
from tinysight.evaluation.predict import ImagePredictor, UnreadableImage
from tinysight.runs.run import Run


@pytest.fixture
def run(finished_run):
    return Run(finished_run)


def test_prediction_equals_classifier_output(run, photos):
    file = photos / "cat" / "07.png"
    (prediction,) = ImagePredictor(run, top=10).predict([str(file)])
    expected = run.classifier().probabilities(read_image(file, (32, 32))[np.newaxis])[0]
    by_index = {choice["index"]: choice["probability"] for choice in prediction["top"]}
    assert [by_index[index] for index in range(10)] == pytest.approx(expected.tolist())
    assert [choice["probability"] for choice in prediction["top"]] == sorted(by_index.values(), reverse=True)
    assert prediction["top"][0]["class"] == run.classifier().class_names[expected.argmax()]


def test_order_is_kept_across_chunks(run, photos, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 3)
    names = [str(photos / "cat" / f"{number:02}.png") for number in (5, 4, 3, 2, 1, 0, 9, 8)]
    names[4:4] = ["missing.png"]
    predictions = list(ImagePredictor(run).predict(names))
    assert predictions[4] == UnreadableImage("missing.png", "missing.png: no such file. Check the path.")
    assert [prediction["input"] for prediction in predictions[:4] + predictions[5:]] == names[:4] + names[5:]
    single = [next(ImagePredictor(run).predict([name])) for name in names]
    for first, second in zip(single, predictions, strict=True):
        assert first == second or first["top"][0]["probability"] == pytest.approx(second["top"][0]["probability"])


@pytest.mark.parametrize(
    ("bias", "below", "unsure"),
    [(0.0, 0.5, True), (2.0, 0.5, True), (2.5, 0.5, False), (2.5, 0.6, True), (50.0, 0.999, False), (50.0, 2.0, True)],
)
def test_unsure_below_threshold_of_run(run, photos, bias, below, unsure):
    classifier = run.classifier().with_spec(temperature=1.0, abstain_below=below)
    last = classifier.network.head
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    last.bias.data[3] = bias
    run.write_classifier(classifier)
    (prediction,) = ImagePredictor(run).predict([str(photos / "cat" / "00.png")])
    assert prediction["unsure"] == unsure
    assert prediction["top"][0]["probability"] == pytest.approx(np.exp(bias) / (np.exp(bias) + 9))


def test_test_images_have_labels(run):
    predictions = list(ImagePredictor(run).predict([], test_indices=[29, 0, 29]))
    assert [prediction["input"] for prediction in predictions] == ["test[29]", "test[0]", "test[29]"]
    names = run.classifier().class_names
    labels = load("shapes:train=100,test=30").test.labels
    assert [prediction["label"] for prediction in predictions] == [names[labels[index]] for index in (29, 0, 29)]


def test_existing_file_with_glob_characters_is_not_expanded(run, photos, tmp_path):
    odd = tmp_path / "a[1]*.png"
    shutil.copy(photos / "cat" / "00.png", odd)
    shutil.copy(photos / "cat" / "00.png", tmp_path / "a1.png")
    assert [prediction["input"] for prediction in ImagePredictor(run).predict([str(odd)])] == [str(odd)]
    globbed = ImagePredictor(run).predict([str(tmp_path / "**" / "a1*")])
    assert [prediction["input"] for prediction in globbed] == [str(tmp_path / "a1.png")]


def test_no_inputs_raise(run):
    with pytest.raises(InputError, match="predict: no images"):
        list(ImagePredictor(run).predict([]))


def test_document_has_format_model_and_notes(run):
    document = ImagePredictor(run).document([])
    (note,) = document.pop("notes")
    assert document == {"format": 1, "model": str(run.path), "predictions": []}
    assert "synthetic images" in note


def test_predict_does_not_import_training_and_plotting_libraries(run, photos):
    """Runs in a new process, in which no module is imported yet."""
    lines = [
        "import sys",
        "from pathlib import Path",
        "from tinysight.evaluation.predict import ImagePredictor",
        "from tinysight.runs.run import Run",
        f"predictor = ImagePredictor(Run.open(Path({str(run.path)!r})))",
        f"(prediction,) = predictor.predict([{str(photos / 'cat' / '00.png')!r}])",
        "print(*{'matplotlib', 'sklearn', 'torch._dynamo'} & set(sys.modules))",
    ]
    result = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
