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


def test_a_file_in_place_of_the_folder_has_no_runs(tmp_path):
    (tmp_path / "file").touch()
    assert list_runs(tmp_path / "file") == []


def test_a_folder_named_summary_json_makes_no_run(tmp_path):
    (tmp_path / "fake" / "summary.json").mkdir(parents=True)
    assert list_runs(tmp_path) == []


def test_a_run_that_is_found_from_two_folders_is_listed_once(make_run):
    make_run("runs/abc")
    assert suggest_run(Path("runs/zzz")) == "Known runs: runs/abc."


def test_five_runs_are_all_listed(make_run):
    for number in range(5):
        make_run(f"runs/abc-{number}")
    assert suggest_run(Path("xyzzy")) == "Known runs: " + ", ".join(f"runs/abc-{n}" for n in (4, 3, 2, 1, 0)) + "."


def test_the_newest_of_two_runs_of_the_same_name_is_suggested_from_the_nearest_folder(make_run):
    make_run("deep")
    make_run("runs/deep")
    assert suggest_run(Path("elsewhere/deep")) == "Did you mean 'deep'?"


def test_runs_in_the_runs_folder_beside_the_path_are_suggested(make_run):
    make_run("project/runs/deep-1")
    assert suggest_run(Path("project/deep-1")) == "Did you mean 'project/runs/deep-1'?"


def test_only_the_most_similar_run_is_suggested(make_run):
    make_run("runs/deep-12")
    make_run("runs/deep-1x")
    make_run("runs/deep-99")
    assert suggest_run(Path("runs/deep-123")) == "Did you mean 'runs/deep-12'?"
