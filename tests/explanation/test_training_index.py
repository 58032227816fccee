"""The cache of training-image features."""

import dataclasses

import pytest
import torch

from tinysight.data.load import load
from tinysight.explanation import feature_index
from tinysight.explanation.feature_index import TrainingIndex
from tinysight.runs.run import Run

DATA = "shapes:train=100,test=30"


class Notes:
    """A progress that records its notes."""

    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)

    def __getattr__(self, name):
        return lambda *_, **__: None


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def counted(monkeypatch):
    """The number of images in each call of `extract_features`."""
    calls, original = [], feature_index.extract_features
    monkeypatch.setattr(feature_index, "extract_features", lambda *a: calls.append(len(a[1])) or original(*a))
    return calls


def training_index(path, progress=None):
    run = Run(path)
    return TrainingIndex.of_run(run, run.classifier(), load(DATA), *([progress] if progress else []))


def test_second_call_reads_cached_features(trained, cache, counted):
    first, second = training_index(trained), training_index(trained)
    assert counted == [90]  # 10 of the 100 images are for validation
    assert torch.allclose(first.index.features, second.index.features, atol=1e-3)
    assert len(first.split) == len(first.index.features) == 90
    near = second.index.nearest(second.split.pixels[:10], 1)
    assert near.indices[:, 0].tolist() == list(range(10))


def test_new_weights_compute_new_features(finished_run, cache, counted):
    training_index(finished_run)
    classifier = Run(finished_run).classifier()
    classifier.network.body[0].weight.data.mul_(-1)
    Run(finished_run).write_classifier(dataclasses.replace(classifier))
    training_index(finished_run)
    assert counted == [90, 90]


def test_damaged_cache_is_recomputed(trained, cache, counted):
    training_index(trained)
    (path,) = cache.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    assert len(training_index(trained).index.features) == 90
    assert counted == [90, 90]


def test_unwritable_cache_gives_a_note(trained, tmp_path, monkeypatch, counted):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "file"))
    progress = Notes()
    assert len(training_index(trained, progress).index.features) == 90
    assert "are not cached" in progress.notes[0]


def test_cache_keeps_a_limited_number_of_runs(finished_run, cache, monkeypatch):
    monkeypatch.setattr(feature_index, "_MAX_CACHED", 2)
    run = Run(finished_run)
    for factor in (1.0, 1.1, 1.2):
        classifier = run.classifier()
        classifier.network.body[0].weight.data.mul_(factor)
        run.write_classifier(classifier)
        training_index(finished_run)
    assert len(list(cache.glob("*.safetensors"))) == 2
