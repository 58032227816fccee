"""Every command works on memory-mapped images of a folder."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from tinysight.data import pixels

# In one precision: which one "auto" finds faster can change with the load of the machine.
TINY = (
    "--data",
    "{photos}",
    "--epochs",
    "1",
    "--precision",
    "fp32",
    "--set",
    "data.image_size=16",
    "--set",
    "training.batch_size=16",
)


@pytest.fixture
def _mapped(monkeypatch):
    monkeypatch.setattr(pixels, "MAX_IN_MEMORY_BYTES", 1000)


@pytest.fixture
def run(tinysight, photos, tmp_path, _mapped):
    settings = [word.format(photos=photos) for word in TINY]
    done = tinysight("train", "early-stopping", *settings, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    return tmp_path / "run"


def test_run_on_mapped_images_is_evaluated_explained_and_reported(tinysight, run, photos):
    for command in (["evaluate", run, "--tta"], ["evaluate", run, "--split", "validation"], ["report", run]):
        done = tinysight(*command)
        assert done.code == 0, done.err
    assert json.loads((run / "metrics.json").read_text())["n"] > 0
    assert tinysight("explain", run, next(photos.glob("cat/*.png"))).code == 0
    assert tinysight("explain", run, "--test-index", "0").code == 0
    assert tinysight("predict", run, "--test-index", "1").code == 0
    assert tinysight("data", "info", "--data", photos).code == 0
    assert tinysight("data", "show", "3", "--data", photos, "--out", run / "3.png").code == 0
    assert tinysight("preview", "early-stopping", "--data", photos, "--out", run / "preview.png").code == 0


def test_training_on_mapped_images_is_deterministic(tinysight, run, photos, tmp_path):
    settings = [word.format(photos=photos) for word in TINY]
    assert tinysight("train", "early-stopping", *settings, "--out", tmp_path / "again").code == 0
    first, second = (load_file(path / "model.safetensors") for path in (run, tmp_path / "again"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_run_on_mapped_images_is_audited(tinysight, run):
    done = tinysight("audit", run)
    assert done.code == 0, done.err
