"""Run directories are listed newest first, and suggested for a mistyped path."""

import os
from pathlib import Path

import pytest

from tinysight.runs.find import list_runs, suggest_run


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """Create a folder that looks like a run, each a second newer than the last."""
    monkeypatch.chdir(tmp_path)
    times = iter(range(1_000, 2_000))

    def make(path):
        run = Path(path)
        run.mkdir(parents=True)
        (run / "summary.json").touch()
        os.utime(run, (time := next(times), time))

    return make


def test_runs_are_listed_newest_first_and_other_folders_are_not(make_run):
    for name in ("runs/a", "runs/c", "runs/b"):
        make_run(name)
    Path("runs/empty").mkdir()
    assert list_runs(Path("runs")) == [Path("runs/b"), Path("runs/c"), Path("runs/a")]
    assert list_runs(Path("nowhere")) == list_runs(Path("x" * 5000)) == []


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("runs/deep-2", "runs/deep-1"),  # beside it
        ("deep-1", "runs/deep-1"),  # in runs/
        ("runs/old/deep-1", "runs/deep-1"),  # in the parent folder
        ("runs/dep-1", "runs/deep-1"),
    ],
)
def test_the_similar_run_is_suggested(make_run, typed, suggested):
    make_run("runs/unrelated")
    make_run("runs/deep-1")
    assert suggest_run(Path(typed)) == f"Did you mean {suggested!r}?"


def test_a_run_of_the_same_name_is_preferred_to_a_similar_one(make_run):
    make_run("runs/deep-1")
    make_run("deep-2")
    assert suggest_run(Path("deep-1")) == "Did you mean 'runs/deep-1'?"


def test_at_most_five_runs_are_listed(make_run):
    for number in range(7):
        make_run(f"runs/abc-{number}")
    assert suggest_run(Path("xyzzy")) == "Known runs: " + ", ".join(f"runs/abc-{n}" for n in (6, 5, 4, 3, 2)) + "."


def test_without_runs_the_advice_is_to_train_one(make_run):
    assert suggest_run(Path("xyzzy")) == "Train a run first."
