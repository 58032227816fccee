import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import torch

from tinysight._util import hardware
from tinysight.training import environment


def test_it_records_the_machine_the_versions_and_the_dataset(dataset):
    record = environment.describe_environment(dataset, "tiny", Path("images"), seed=3, precision="bf16")

    facts = hardware.hardware_info()
    assert [record.processor, record.system, *record.cpu_features] == [
        facts["processor"],
        facts["system"],
        *facts["features"],
    ]
    assert record.versions["torch"] == metadata.version("torch")
    assert record.versions["python"] == facts["python"]
    assert (record.seed, record.precision, record.threads) == (3, "bf16", torch.get_num_threads())
    assert record.dataset.fingerprint == dataset.fingerprint
    assert (record.dataset.name, record.dataset.argument, record.dataset.source) == ("tiny", "tiny", "made up")
    assert record.dataset.data_dir == str(Path.cwd() / "images")


def test_changes_that_break_bitwise_reproducibility_are_listed(dataset):
    before = environment.describe_environment(dataset, "tiny", None, 0, "fp32")
    versions = before.versions | {"torch": "9"}
    now = before.model_copy(update={"threads": before.threads + 1, "workers": 2, "versions": versions})

    assert environment.diff(before, before) == []
    assert environment.diff(before, now) == [
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
    output = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return tmp_path, output.stdout.strip()


def commit_from(folder, dataset, monkeypatch):
    folder.mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(folder / "environment.py"))
    return environment.describe_environment(dataset, "tiny", None, 0, "fp32").git_commit


def test_the_commit_of_a_source_checkout_is_recorded(checkout, dataset, monkeypatch):
    folder, commit = checkout

    assert commit_from(folder / "src/tinysight/training", dataset, monkeypatch) == commit


def test_the_commit_of_another_checkout_is_not_recorded(checkout, dataset, monkeypatch):
    installed = checkout[0] / ".venv/lib/python3.11/site-packages/tinysight/training"

    assert commit_from(installed, dataset, monkeypatch) is None


def test_without_git_there_is_no_commit(dataset, monkeypatch):
    monkeypatch.setenv("PATH", "")

    assert environment.describe_environment(dataset, "tiny", None, 0, "fp32").git_commit is None
