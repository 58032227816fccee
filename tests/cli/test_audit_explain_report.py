"""The commands audit, explain, card, report, forget and compare: output and error messages."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tinysight._util import optional_deps
from tinysight.auditing import audit, context


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(context, "MAX_PROBED", 10)
    monkeypatch.setattr(audit, "N_SHADOW_MODELS", 2)


def test_audit_prints_a_line_per_section_and_the_next_step(tinysight, finished_run):
    outcome = tinysight("audit", finished_run)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert [line.partition(":")[0] for line in lines[:7]] == [
        "corruption robustness",
        "out-of-distribution",
        "near-duplicates",
        "subgroups",
        "groups",
        "label errors",
        "membership inference",
    ]
    assert "not measured: pass a file with --groups" in lines[4]
    assert outcome.next == f"tinysight report {finished_run}"


def test_explain_writes_an_image(tinysight, finished_run, photos):
    outcome = tinysight("explain", finished_run, photos / "cat" / "00.png", "--test-index", 3, "--out", "why.png")
    assert outcome.code == 0
    assert outcome.out == "file: why.png\n"
    with Image.open("why.png") as image:
        assert image.width == 1200


def test_explain_continues_after_an_unreadable_file(tinysight, finished_run, photos):
    Path("broken.png").write_bytes(b"not an image")
    outcome = tinysight("explain", finished_run, "broken.png", photos / "cat" / "00.png")
    assert outcome.code == 2
    assert "broken.png" in outcome.err
    assert (finished_run / "plots" / "explanation.png").exists()


def test_card_writes_markdown_or_json(tinysight, finished_run):
    assert tinysight("card", finished_run).code == 0
    assert (finished_run / "card.md").read_text().startswith("---\n")
    assert json.loads(tinysight("card", finished_run, "--json").out)["recipe"] == "early-stopping"


def test_report_writes_html(tinysight, finished_run):
    outcome = tinysight("report", finished_run)
    assert outcome.out == f"page: {finished_run / 'report.html'}\n"
    assert (finished_run / "report.html").read_text().lstrip().startswith("<!doctype html>")


def test_forget_writes_a_run_and_prints_the_record(tinysight, finished_run):
    Path("ids.csv").write_text("image\ntrain/1\ntrain/2\n")
    outcome = tinysight("forget", finished_run, "train/0", "ids.csv", "--out", "without")
    assert outcome.code == 0
    assert outcome.out.startswith("The model was retrained from scratch without 3 images: ")
    assert outcome.out.splitlines()[-1] == "run:  without"
    refusal = tinysight("forget", "without", "train/1").refusal()
    assert "train/1: not a training or validation image of without." in refusal


def test_compare_needs_two_evaluated_runs(tinysight, finished_run):
    other = shutil.copytree(finished_run, "other")
    assert tinysight("evaluate", finished_run).code == 0
    assert tinysight("compare", finished_run, other).refusal() == "other: not evaluated yet. Evaluate it first."
    assert tinysight("evaluate", other).code == 0
    outcome = tinysight("compare", finished_run, other)
    assert outcome.code == 0
    assert outcome.out.splitlines()[1].split()[:3] == ["run", "other", "+0.00"]
    assert "<h2>Significance</h2>" in Path("compare.html").read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["compare", "RUN"], "compare: needs at least two runs"),
        (["compare", "RUN", "RUN"], ": passed twice"),
        (["explain", "RUN"], "explain: no images were given"),
        (["explain", "RUN", "--test-index", "30"], "test index 30: not in the test set. Use an index from 0 to 29"),
        (["explain", "RUN", "none.png"], "none.png"),
        (["explain", "RUN", "-"], "-: `explain` does not read standard input"),
        (["audit", "RUN", "--groups", "none.csv"], "none.csv: cannot be read"),
        (["forget", "RUN", "none.csv"], "none.csv: cannot be read"),
        (["forget", "RUN", "test/1"], "test/1: not a training or validation image of"),
        (["report", "none"], "none: no run directory"),
        (["card", "none"], "none: no run directory"),
    ],
)
def test_invalid_input_gives_an_error_message(tinysight, finished_run, command, message):
    arguments = [finished_run if word == "RUN" else word for word in command]
    assert message in tinysight(*arguments).refusal()


@pytest.mark.parametrize(
    ("missing", "command"), [("cleanlab", ["audit"]), ("captum", ["explain", "--test-index", "1"])]
)
def test_a_missing_package_is_named_with_its_install_command(tinysight, finished_run, monkeypatch, missing, command):
    version = optional_deps.version
    monkeypatch.setattr(optional_deps, "version", lambda name: None if name == missing else version(name))
    verb, *options = command
    message = tinysight(verb, finished_run, *options).refusal()
    assert f"{missing}: not installed. Run pip install" in message
