"""`tinysight add`, `remove` and `relabel`: a new run in seconds, or one error and nothing written."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinysight as ts
from tinysight._util.progress import SilentProgress
from tinysight.runs.run import Run


class KilledError(BaseException):
    pass


class Killed(SilentProgress):
    """Ends the process when the features of the first batch are computed."""

    def start(self, task, total, unit):
        self.is_training = task.startswith("epoch")

    def advance(self, amount, **metrics):
        if self.is_training:
            raise KilledError


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "run"
    return ts.train("early-stopping", "shapes:train=100,test=30,seed=5", out=path, epochs=1).path


@pytest.fixture(scope="module")
def finished_probe(backbone, photos, tmp_path_factory):
    path, overrides = tmp_path_factory.mktemp("probe") / "run", [f"model.backbone={backbone}"]
    return ts.train("probe", photos, out=path, overrides=overrides, precision="fp32").path


@pytest.fixture
def probe(finished_probe, tinysight):
    """A probe of cats and dogs in runs/probe-1."""
    return shutil.copytree(finished_probe, "runs/probe-1")


@pytest.fixture
def birds(tinysight):
    """A folder of 10 greenish birds."""
    random = np.random.default_rng(1)
    Path("birds").mkdir()
    for number in range(10):
        pixels = random.integers(0, 120, (30, 40, 3), dtype=np.uint8)
        pixels[..., 1] += 120
        Image.fromarray(pixels).save(f"birds/{number}.png")
    return Path("birds")


def test_a_class_is_added_corrected_and_removed(tinysight, probe, birds, photos):
    added = tinysight("add", probe, "bird", birds)
    assert added.code == 0
    lines = added.out.splitlines()
    assert lines[:2] == ["added: 10 images as 'bird' (7 training, 1 validation, 2 test)", "new: 'bird'"]
    score = r"\d+\.\d% \(n = \d\)"
    assert re.fullmatch(rf"validation accuracy: {score} before, {score} after", lines[2])
    assert re.fullmatch(r"on the 4 unchanged validation images: \d+\.\d% before, \d+\.\d% after", lines[3])
    assert lines[5:] == ["run:  runs/probe-2"]
    assert added.next == "tinysight evaluate runs/probe-2"
    assert tinysight(*shlex.split(added.next)[1:]).code == 0

    relabeled = tinysight("relabel", "runs/probe-2", "bird", photos / "cat/00.png", photos / "cat/01.png")
    assert relabeled.out.startswith("relabeled: 2 images as 'bird' (")
    assert "run:  runs/probe-3" in relabeled.out

    removed = tinysight("remove", "runs/probe-3", birds, photos / "cat/00.png", photos / "cat/01.png")
    assert removed.out.startswith("removed: 12 images (")
    assert "no images left, so removed: 'bird'" in removed.out
    assert Run.open("runs/probe-4").class_names() == ("cat", "dog")


def test_a_run_that_is_no_probe_names_the_way(tinysight, backbone, birds):
    message = tinysight("add", backbone, "bird", birds).refusal()
    assert message == (
        f"{backbone}: not a probe, so all layers of its network have to be trained again. Change the images in its "
        f"folder or table, and train on that: tinysight train RECIPE --from {backbone} --data DIR."
    )


def test_options_in_messages(tinysight, probe, birds):
    (birds / "0.png").write_bytes(b"no image")
    refused = tinysight("add", probe, "bird", birds)
    assert refused.code == 2
    assert "error: 1 of 10 images cannot be read. Repair them or set --skip-unreadable:\n" in refused.err
    assert tinysight("add", probe, "bird", birds, "--skip-unreadable").code == 0


def test_standard_input_is_refused(tinysight, probe):
    assert tinysight("add", probe, "bird", "-").refusal() == (
        "-: standard input has no file. Pass image files or folders."
    )


def test_a_killed_command_hinders_no_other_and_its_run_can_be_resumed(tinysight, probe, birds, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("tinysight.cli.add.progress", Killed())
        with pytest.raises(KilledError):
            tinysight("add", probe, "bird", birds)
    assert Run.open("runs/probe-2").summary().status == "running"
    assert tinysight("add", probe, "bird", birds).code == 0
    refused = tinysight("add", "runs/probe-2", "bird", birds).refusal()
    assert refused.endswith("its training is not finished (running). Resume it first.")
    resume = ("runs/probe-2/recipe.toml", "--data", "runs/probe-2/dataset.csv", "--out", "runs/probe-2", "--resume")
    assert tinysight("train", *resume).code == 0
    assert Run.open("runs/probe-2").weights_checksum() == Run.open("runs/probe-3").weights_checksum()


def test_an_interrupted_command_prints_how_to_resume(tinysight, probe, birds, monkeypatch):
    import signal

    class CtrlC(Killed):
        def advance(self, amount, **metrics):
            if self.is_training:
                signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("tinysight.cli.add.progress", CtrlC())
        interrupted = tinysight("add", probe, "bird", birds)
    assert interrupted.code == 1
    assert tinysight(*shlex.split(interrupted.next)[1:]).code == 0
    assert Run.open("runs/probe-2").class_names() == ("bird", "cat", "dog")
