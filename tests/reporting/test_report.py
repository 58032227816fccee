"""Reports: self-contained HTML, correct metrics, escaped names."""

import re
import shutil
from html.parser import HTMLParser

import pytest

from tinysight.auditing import audit as audits
from tinysight.auditing import context
from tinysight.auditing.registry import report_sections
from tinysight.data.load import load
from tinysight.evaluation.evaluate import evaluate
from tinysight.reporting.report import render_report
from tinysight.runs.run import Run

SHAPES = "shapes:train=100,test=30"


class Page(HTMLParser):
    """Collect open tags, links and text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.links, self.words = [], [], ""
        self.feed(html)
        self.close()

    def handle_startendtag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    return Run(shutil.copytree(trained, tmp_path_factory.mktemp("report") / "run"))


@pytest.fixture(scope="module")
def pages(run):
    """The reports before and after evaluation and audit, and the metrics."""
    dataset = load(SHAPES)
    bare = render_report(run, dataset, report_sections(run))
    metrics = evaluate(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "MAX_PROBED", 10)
        patch.setattr(audits, "N_SHADOW_MODELS", 2)
        audits.audit(run)
    return bare, render_report(run, dataset, report_sections(run)), metrics


@pytest.mark.parametrize("which", [0, 1])
def test_the_page_is_well_formed_and_self_contained(pages, which):
    page = Page(pages[which])
    assert page.open == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert "<script" not in pages[which]
    assert not re.search(r"url\(|@import|https?://", pages[which].replace("http://www.w3.org", ""))


def test_missing_measurements_are_marked(pages):
    words = Page(pages[0]).words
    assert "Not evaluated yet" in words
    assert "not measured" in words


def test_metrics_equal_those_of_the_evaluation(pages):
    _, html, metrics = pages
    words = Page(html).words
    assert f"{metrics.accuracy:.1%} test accuracy (n = 30)" in re.sub(r"\s+", " ", words)
    assert "glass blur" in words
    assert "LiRA" in words


def test_notes_are_escaped(run, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    copy = Run(shutil.copytree(run.path, tmp_path / "run"))
    copy.write_summary(copy.summary().model_copy(update={"notes": (evil,)}))
    html = render_report(copy, load(SHAPES), report_sections(copy))
    assert evil not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
