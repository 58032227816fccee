"""Predictions: values, order, labels and the unsure flag."""

import io
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tinysight._util.errors import InputError, RunError
from tinysight._util.progress import SilentProgress
from tinysight.data.crops import SIX_CROP
from tinysight.data.image_io import read_image
from tinysight.data.image_io.image_file import read_crops
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


def test_three_classes_are_predicted_by_default(run, photos):
    (prediction,) = ImagePredictor(run).predict([str(photos / "cat" / "00.png")])
    assert len(prediction["top"]) == 3
    assert "label" not in prediction
    (one,) = ImagePredictor(run, top=1).predict([str(photos / "cat" / "00.png")])
    assert one["top"] == prediction["top"][:1]


def test_probabilities_are_averaged_over_the_crops_of_the_classifier(run, photos, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 4)  # fewer than the crops of one image
    classifier = run.classifier().with_spec(crops=SIX_CROP)
    run.write_classifier(classifier)
    files = [photos / "dog" / f"{number:02}.png" for number in (3, 12)]
    predictions = list(ImagePredictor(run, top=10).predict([str(file) for file in files]))
    for file, prediction in zip(files, predictions, strict=True):
        expected = classifier.probabilities(read_crops(file, (32, 32), SIX_CROP)).mean(0)
        by_index = {choice["index"]: choice["probability"] for choice in prediction["top"]}
        assert [by_index[index] for index in range(10)] == pytest.approx(expected.tolist(), abs=1e-5)


class Recorder(SilentProgress):
    """A progress that records the task and the finished units."""

    started, advanced, finished = (), (), 0

    def start(self, task, total, unit=""):
        self.started += ((task, total, unit),)

    def advance(self, amount, **metrics):
        self.advanced += (amount,)

    def finish(self, line=""):
        self.finished += 1


def test_progress_counts_predicted_images_chunk_by_chunk(run, photos, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 8)
    progress = Recorder()
    assert len(list(ImagePredictor(run).predict([str(photos / "cat")], progress=progress))) == 20
    assert progress.started[0] == ("predicting", 20, "images")
    assert (progress.advanced, progress.finished) == ((8, 8, 4), 1)


def test_standard_input_is_one_image(run, photos, monkeypatch):
    file = photos / "cat" / "03.png"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    (from_input,) = ImagePredictor(run).predict(["-"])
    (from_file,) = ImagePredictor(run).predict([str(file)])
    assert from_input["input"] == "-"
    assert [choice["index"] for choice in from_input["top"]] == [choice["index"] for choice in from_file["top"]]


def test_messages_without_images_or_run_are_complete(run, trained):
    with pytest.raises(InputError) as error:
        list(ImagePredictor(run).predict([]))
    assert str(error.value) == (
        "predict: no images. Pass files, globs, folders, - for standard input, or indices of test images."
    )
    source = SimpleNamespace(path="model.zip", classifier=run.classifier)
    with pytest.raises(InputError) as error:
        list(ImagePredictor(source).predict([], test_indices=[0]))
    assert str(error.value) == "model.zip: not a run, so it has no test images. Pass image files."


def test_a_diverged_classifier_is_refused(run, photos):
    classifier = run.classifier()
    torch.nn.init.constant_(classifier.network.head.bias, float("nan"))
    source = SimpleNamespace(path="model.zip", classifier=lambda: classifier)
    with pytest.raises(RunError) as error:
        list(ImagePredictor(source).predict([str(photos / "cat" / "00.png")]))
    assert str(error.value) == (
        "model.zip: predicts NaN or infinity. Its training diverged or its weights were modified; train again."
    )


def test_test_images_follow_the_files(run, photos):
    predictions = list(ImagePredictor(run).predict([str(photos / "cat" / "00.png")], test_indices=[4]))
    assert ["label" in prediction for prediction in predictions] == [False, True]
    with pytest.raises(InputError, match=r"^test index 30: not in the test set\. Use an index from 0 to 29\.$"):
        list(ImagePredictor(run).predict([], test_indices=[30]))
