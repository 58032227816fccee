"""The verbs that say how far to trust a run: a sentence for whatever goes wrong, the next step for what goes right."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tinysight import packages
from tinysight.audit import audit, sections


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(sections, "CORRUPTED", 10)
    monkeypatch.setattr(audit, "SHADOWS", 2)


def test_an_audit_says_a_line_for_every_section_and_the_next_step(tinysight, finished_run):
    outcome = tinysight("audit", finished_run)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert [line.partition(":")[0] for line in lines[:7]] == [
        "corrupted images",
        "strange images",
        "twins",
        "slices",
        "groups",
        "labels",
        "privacy",
    ]
    assert "not measured: name a file by --groups" in lines[4]
    assert lines[-1] == f"next:  tinysight report {finished_run}"


def test_an_explanation_is_a_picture(tinysight, finished_run, photos):
    outcome = tinysight("explain", finished_run, photos / "cat" / "00.png", "--test-index", 3, "--out", "why.png")
    assert outcome.code == 0
    assert outcome.out == "file: why.png\n"
    with Image.open("why.png") as picture:
        assert picture.width == 1200


def test_a_picture_that_cannot_be_read_does_not_keep_the_others_from_being_explained(tinysight, finished_run, photos):
    Path("broken.png").write_bytes(b"no picture")
    outcome = tinysight("explain", finished_run, "broken.png", photos / "cat" / "00.png")
    assert outcome.code == 2
    assert "broken.png" in outcome.err
    assert (finished_run / "plots" / "explanation.png").exists()


def test_a_card_is_markdown_and_its_document_json(tinysight, finished_run):
    assert tinysight("card", finished_run).code == 0
    assert (finished_run / "card.md").read_text().startswith("---\n")
    assert json.loads(tinysight("card", finished_run, "--json").out)["recipe"] == "early-stopping"


def test_a_report_is_a_page(tinysight, finished_run):
    outcome = tinysight("report", finished_run)
    assert outcome.out == f"page: {finished_run / 'report.html'}\n"
    assert (finished_run / "report.html").read_text().lstrip().startswith("<!doctype html>")


def test_forgetting_leaves_a_run_and_says_what_can_be_shown(tinysight, finished_run):
    Path("ids.csv").write_text("image\ntrain/1\ntrain/2\n")
    outcome = tinysight("forget", finished_run, "train/0", "ids.csv", "--out", "without")
    assert outcome.code == 0
    assert outcome.out.startswith("3 images were left out of a training made anew")
    assert outcome.out.splitlines()[-1] == "run:  without"
    assert "no image that" in tinysight("forget", "without", "train/1").refusal()


def test_runs_are_compared_by_what_was_found_of_them(tinysight, finished_run):
    other = shutil.copytree(finished_run, "other")
    assert tinysight("evaluate", finished_run).code == 0
    assert "metrics.json is missing" in tinysight("compare", finished_run, other).refusal()
    assert tinysight("evaluate", other).code == 0
    outcome = tinysight("compare", finished_run, other)
    assert outcome.code == 0
    assert "+0.00%" in outcome.out
    assert "Better, or luckier?" in Path("compare.html").read_text()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["compare", "RUN"], "One run has nothing to be compared with"),
        (["compare", "RUN", "RUN"], "is named twice"),
        (["explain", "RUN"], "explain: no images were given"),
        (["explain", "RUN", "--test-index", "30"], "the test set has images 0 to 29"),
        (["explain", "RUN", "none.png"], "none.png"),
        (["explain", "RUN", "-"], "Pictures to explain are files"),
        (["audit", "RUN", "--groups", "none.csv"], "none.csv cannot be read"),
        (["forget", "RUN", "none.csv"], "none.csv cannot be read"),
        (["forget", "RUN", "test/1"], "test/1 is no image that"),
        (["report", "none"], "There is no run directory none"),
        (["card", "none"], "There is no run directory none"),
    ],
)
def test_whatever_cannot_be_done_is_said_in_a_sentence(tinysight, finished_run, command, said):
    words = [finished_run if word == "RUN" else word for word in command]
    assert said in tinysight(*words).refusal()


@pytest.mark.parametrize(
    ("missing", "command"), [("cleanlab", ["audit"]), ("captum", ["explain", "--test-index", "1"])]
)
def test_a_package_that_is_not_installed_is_named_with_the_way_to_get_it(
    tinysight, finished_run, monkeypatch, missing, command
):
    version = packages.version
    monkeypatch.setattr(packages, "version", lambda name: None if name == missing else version(name))
    verb, *options = command
    said = tinysight(verb, finished_run, *options).refusal()
    assert f"{missing}: not installed. Run pip install" in said
