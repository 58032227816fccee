"""Malicious run directories with valid checksums."""

import hashlib
import json
import resource
import sys

import pytest
import torch

from tinysight._util.errors import RunError, TinysightError
from tinysight.data.image_io import MAX_BYTES
from tinysight.evaluation.predict import ImagePredictor
from tinysight.runs.run import Run


@pytest.fixture
def run(finished_run):
    return Run(finished_run)


@pytest.fixture
def forge(run):
    """Return a function that changes values of model.json and updates the checksum."""

    def change(**values):
        path = run.path / "model.json"
        forged = json.loads(path.read_text()) | values
        del forged["sha256"]
        forged["sha256"] = hashlib.sha256(json.dumps(forged, sort_keys=True).encode()).hexdigest()
        path.write_text(json.dumps(forged))

    return change


def peak_memory():
    """Return the peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_forged_model_json_is_read(run, forge):
    forge(class_names=[str(number) for number in range(10)])
    assert run.classifier().class_names[9] == "9"


@pytest.mark.parametrize(
    "values",
    [
        {"image_size": 2**20},
        {"image_size": 0},
        {"image_size": -32},
        {"class_names": ["one"]},
        {"class_names": "abcdefghij"},
        {"temperature": 0},
        {"temperature": 1e-300},
        {"temperature": 1e300},
        {"mean": [0, 0]},
        {"std": [0, 1, 1]},
        {"std": [1, 1, 1e999]},
        {"model": {"architecture": "../../etc/passwd"}},
        {"model": {"architecture": "__import__('os').system('true')"}},
        {"weights_sha256": ""},
        {"weights_sha256": "../../other/model.safetensors"},
        {"code": "print('hello')"},
    ],
    ids=str,
)
def test_forged_values_are_rejected(run, forge, values):
    forge(**values)
    with pytest.raises(TinysightError):
        run.classifier()


@pytest.mark.parametrize("size", [8, 16, 64, 512])
@pytest.mark.parametrize("architecture", ["simple", "early-stopping", "fast"])
def test_network_of_wrong_size_is_rejected_without_allocating_memory(run, forge, size, architecture):
    huge = {"stem_stride": 1, "channels": [4096] * 3} if architecture == "fast" else {}
    forge(image_size=size, model={"architecture": architecture, **huge})
    before = peak_memory()
    with pytest.raises(TinysightError, match=r"the shapes of the weights do not match|too small"):
        run.classifier()
    assert peak_memory() - before < 200e6  # bytes; one of the networks would need 4 GB


def test_forged_number_of_classes_is_rejected(run, forge):
    forge(class_names=[str(number) for number in range(100_000)])
    with pytest.raises(RunError, match="the shapes of the weights do not match"):
        run.classifier()


def test_overflowing_weights_do_not_predict(run, photos):
    classifier = run.classifier()
    for parameter in classifier.network.parameters():
        torch.nn.init.constant_(parameter, 3e38)
    run.write_classifier(classifier)
    with pytest.raises(RunError, match="predicts NaN or infinity"):
        list(ImagePredictor(run).predict([str(photos / "cat")]))


def test_class_names_are_escaped_in_predict(run, forge, tinysight, photos):
    forge(class_names=["\x1b]0;pwned\x07", "\x1b[2J", "a\nb", "\u202egnp", *"efghij"])
    outcome = tinysight("predict", run.path, photos / "cat" / "00.png", "--top", 10)
    assert outcome.out.count("\n") == 1
    assert outcome.out.strip("\n").isprintable()
    assert r"\x1b[2J" in outcome.out


def test_class_names_are_escaped_in_evaluate(run, forge, tinysight):
    forge(class_names=["\x1b]0;pwned\x07", "\x1b[2J", "a\nb", "\u202egnp", *"efghij"])
    outcome = tinysight("evaluate", run.path)  # refused, because the images have other classes
    assert outcome.code == 2
    assert all(line.isprintable() for line in outcome.err.split("\n"))
    assert r"has '\x1b]0;pwned\x07', '\x1b[2J', 'a\nb', " in outcome.err


def test_file_names_are_escaped(tinysight, run):
    outcome = tinysight("predict", run.path, "\x1b]0;pwned\x07.png")
    assert outcome.refusal() == r"\x1b]0;pwned\x07.png: no such file. Check the path."


def test_standard_input_is_limited(tinysight, run, monkeypatch):
    class Flood:
        buffer = property(lambda self: self)
        asked = 0

        def read(self, size):
            Flood.asked = size
            return bytes(size)

    monkeypatch.setattr("tinysight.evaluation.predict.sys.stdin", Flood())
    (outcome,) = ImagePredictor(run).predict(["-"])
    assert outcome.error.startswith("Image: larger than")
    assert Flood.asked == MAX_BYTES + 1
