"""What a run has learned from is found out once, and found again by whoever asks next."""

import dataclasses

import pytest
import torch

from tinysight.data.load import load
from tinysight.explanation import learned
from tinysight.explanation.learned import Learned
from tinysight.runs.run import Run

DATA = "shapes:train=100,test=30"


class Notes:
    """A progress that keeps what it is told."""

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
    """How many images features were found out of, call by call."""
    calls, found_out = [], learned.features
    monkeypatch.setattr(learned, "features", lambda *a: calls.append(len(a[1])) or found_out(*a))
    return calls


def remembered(path, progress=None):
    run = Run(path)
    return Learned.by(run, run.classifier(), load(DATA), *([progress] if progress else []))


def test_the_second_time_nothing_is_found_out_again(trained, cache, counted):
    first, second = remembered(trained), remembered(trained)
    assert counted == [90]  # a tenth of the hundred is for validation
    assert torch.allclose(first.memory.features, second.memory.features, atol=1e-3)
    assert len(first.part) == len(first.memory.features) == 90
    near = second.memory.nearest(second.part.pixels[:10], 1)
    assert near.indices[:, 0].tolist() == list(range(10))


def test_other_weights_have_other_features(finished_run, cache, counted):
    remembered(finished_run)
    classifier = Run(finished_run).classifier()
    classifier.network[0].weight.data.mul_(-1)
    Run(finished_run).write_classifier(dataclasses.replace(classifier))
    remembered(finished_run)
    assert counted == [90, 90]


def test_what_was_damaged_is_found_out_again(trained, cache, counted):
    remembered(trained)
    (kept,) = cache.glob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-100])
    assert len(remembered(trained).memory.features) == 90
    assert counted == [90, 90]


def test_a_cache_that_cannot_be_written_does_no_harm(trained, tmp_path, monkeypatch, counted):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "file"))
    progress = Notes()
    assert len(remembered(trained, progress).memory.features) == 90
    assert "not kept for next time" in progress.notes[0]


def test_a_few_runs_are_kept_and_no_more(finished_run, cache, monkeypatch):
    monkeypatch.setattr(learned, "_KEPT", 2)
    run = Run(finished_run)
    for factor in (1.0, 1.1, 1.2):
        classifier = run.classifier()
        classifier.network[0].weight.data.mul_(factor)
        run.write_classifier(classifier)
        remembered(finished_run)
    assert len(list(cache.glob("*.safetensors"))) == 2
