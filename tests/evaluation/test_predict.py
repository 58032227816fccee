"""Predictions come in order, whatever is in between, and say how sure they are."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tinysight.data.intake import read_image
from tinysight.data.load import load
from tinysight.errors import InputError
from tinysight.evaluation import predict as module
from tinysight.evaluation.predict import Predictor
from tinysight.runs.run import Run


@pytest.fixture
def run(finished_run):
    return Run(finished_run)


def test_a_prediction_is_what_the_classifier_says_of_the_decoded_picture(run, photos):
    file = photos / "cat" / "07.png"
    (prediction,) = Predictor(run, top=10).predict([str(file)])
    expected = run.classifier().probabilities(read_image(file, (32, 32))[np.newaxis])[0]
    found = {choice["index"]: choice["probability"] for choice in prediction["top"]}
    assert [found[index] for index in range(10)] == pytest.approx(expected.tolist())
    assert [choice["probability"] for choice in prediction["top"]] == sorted(found.values(), reverse=True)
    assert prediction["top"][0]["class"] == run.classifier().class_names[expected.argmax()]


def test_the_order_holds_from_one_chunk_to_the_next(run, photos, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 3)
    names = [str(photos / "cat" / f"{number:02}.png") for number in (5, 4, 3, 2, 1, 0, 9, 8)]
    names[4:4] = ["gone.png"]
    found = list(Predictor(run).predict(names))
    assert found[4].startswith("gone.png: no such file")
    assert [prediction["input"] for prediction in found[:4] + found[5:]] == names[:4] + names[5:]
    alone = [next(Predictor(run).predict([name])) for name in names]
    for one, together in zip(alone, found, strict=True):
        assert one == together or one["top"][0]["probability"] == pytest.approx(together["top"][0]["probability"])


@pytest.mark.parametrize(
    ("bias", "below", "unsure"),
    [(0.0, 0.5, True), (2.0, 0.5, True), (2.5, 0.5, False), (2.5, 0.6, True), (50.0, 0.999, False), (50.0, 2.0, True)],
)
def test_unsure_is_a_first_choice_less_likely_than_the_runs_threshold(run, photos, bias, below, unsure):
    classifier = replace(run.classifier(), temperature=1.0, unsure_below=below)
    last = classifier.network[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    last.bias.data[3] = bias
    run.write_classifier(classifier)
    (prediction,) = Predictor(run).predict([str(photos / "cat" / "00.png")])
    assert prediction["unsure"] == unsure
    assert prediction["top"][0]["probability"] == pytest.approx(np.exp(bias) / (np.exp(bias) + 9))


def test_test_images_come_with_their_label(run):
    found = list(Predictor(run).predict([], test_indices=[29, 0, 29]))
    assert [prediction["input"] for prediction in found] == ["test[29]", "test[0]", "test[29]"]
    names = run.classifier().class_names
    labels = load("shapes:train=100,test=30").test.labels
    assert [prediction["label"] for prediction in found] == [names[labels[index]] for index in (29, 0, 29)]


def test_a_name_with_signs_of_a_glob_that_exists_is_that_file(run, photos, tmp_path):
    odd = tmp_path / "a[1]*.png"
    shutil.copy(photos / "cat" / "00.png", odd)
    shutil.copy(photos / "cat" / "00.png", tmp_path / "a1.png")
    assert [prediction["input"] for prediction in Predictor(run).predict([str(odd)])] == [str(odd)]
    globbed = Predictor(run).predict([str(tmp_path / "**" / "a1*")])
    assert [prediction["input"] for prediction in globbed] == [str(tmp_path / "a1.png")]


def test_nothing_to_predict_is_an_error(run):
    with pytest.raises(InputError, match="Nothing to predict"):
        list(Predictor(run).predict([]))


def test_the_document_names_format_model_and_what_to_know_before_trusting_it(run):
    document = Predictor(run).document([])
    (remark,) = document.pop("remarks")
    assert document == {"format": 1, "model": str(run.path), "predictions": []}
    assert "synthetic images" in remark


def test_the_first_picture_does_not_wait_for_what_only_training_and_plots_need(run, photos):
    """In a process of its own, where nothing is loaded yet."""
    lines = [
        "import sys",
        "from pathlib import Path",
        "from tinysight.evaluation.predict import Predictor",
        "from tinysight.runs.run import Run",
        f"(prediction,) = Predictor(Run.open(Path({str(run.path)!r}))).predict([{str(photos / 'cat' / '00.png')!r}])",
        "print(*{'matplotlib', 'sklearn', 'torch._dynamo'} & set(sys.modules))",
    ]
    answer = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
