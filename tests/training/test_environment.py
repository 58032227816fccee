import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import torch

from tinysight import machine
from tinysight.training import environment


def test_it_names_the_machine_the_versions_and_the_images(dataset):
    found = environment.describe(dataset, "tiny", Path("images"), seed=3, precision="bf16")

    here = machine.describe()
    assert [found.processor, found.system, *found.features] == [here["processor"], here["system"], *here["features"]]
    assert found.versions["torch"] == metadata.version("torch")
    assert found.versions["python"] == here["python"]
    assert (found.seed, found.precision, found.threads) == (3, "bf16", torch.get_num_threads())
    assert found.dataset.fingerprint == dataset.fingerprint
    assert (found.dataset.name, found.dataset.argument, found.dataset.source) == ("tiny", "tiny", "made up")
    assert found.dataset.data_dir == str(Path.cwd() / "images")


def test_what_decides_about_the_last_bit_is_compared(dataset):
    before = environment.describe(dataset, "tiny", None, 0, "fp32")
    versions = before.versions | {"torch": "9"}
    now = before.model_copy(update={"threads": before.threads + 1, "workers": 2, "versions": versions})

    assert environment.changes(before, before) == []
    assert environment.changes(before, now) == [
        f"torch: {before.versions['torch']}, now 9",
        f"threads: {before.threads}, now {before.threads + 1}",
        "workers: 1, now 2",
    ]


@pytest.fixture
def checkout(tmp_path):
    """Return (folder, commit) of a git checkout."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "a"], check=True)
    answer = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return tmp_path, answer.stdout.strip()


def described_from(folder, dataset, monkeypatch):
    folder.mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(folder / "environment.py"))
    return environment.describe(dataset, "tiny", None, 0, "fp32").git_commit


def test_the_commit_of_a_source_checkout_is_kept(checkout, dataset, monkeypatch):
    folder, commit = checkout

    assert described_from(folder / "src/tinysight/training", dataset, monkeypatch) == commit


def test_the_commit_of_a_checkout_that_tinysight_is_merely_installed_in_is_not(checkout, dataset, monkeypatch):
    installed = checkout[0] / ".venv/lib/python3.11/site-packages/tinysight/training"

    assert described_from(installed, dataset, monkeypatch) is None


def test_without_git_there_is_no_commit(dataset, monkeypatch):
    monkeypatch.setenv("PATH", "")

    assert environment.describe(dataset, "tiny", None, 0, "fp32").git_commit is None
