"""The page: everything in one file, every figure that was measured, and nothing that a name could break out of."""

import re
import shutil
from html.parser import HTMLParser

import pytest

from tinysight.audit import audit as audits
from tinysight.audit import sections
from tinysight.data.load import load
from tinysight.evaluation.evaluate import evaluate
from tinysight.reporting.report import report
from tinysight.runs.run import Run

SHAPES = "shapes:train=100,test=30"


class Page(HTMLParser):
    """Collects tags that are open, what they link to, and the text."""

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
    """The page of a run of which nothing was measured, and of the same when everything was."""
    dataset = load(SHAPES)
    bare = report(run, dataset)
    metrics = evaluate(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "CORRUPTED", 10)
        patch.setattr(audits, "SHADOWS", 2)
        audits.audit(run)
    return bare, report(run, dataset), metrics


@pytest.mark.parametrize("which", [0, 1])
def test_it_is_whole_and_needs_nothing_but_itself(pages, which):
    page = Page(pages[which])
    assert page.open == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert "<script" not in pages[which]
    assert not re.search(r"url\(|@import|https?://", pages[which].replace("http://www.w3.org", ""))


def test_what_was_not_measured_says_so(pages):
    words = Page(pages[0]).words
    assert "Not evaluated yet" in words
    assert "not measured" in words


def test_the_figures_are_those_that_were_measured(pages):
    _, html, metrics = pages
    words = Page(html).words
    assert f"{100 * metrics['accuracy']:.2f} % of 30 test images told right" in re.sub(r"\s+", " ", words)
    assert "glass blur" in words
    assert "LiRA" in words


def test_names_are_only_names(run, tmp_path):
    """A class or a remark may hold anything; on the page it is text."""
    evil = "<img src=x onerror=alert(1)>"
    copy = Run(shutil.copytree(run.path, tmp_path / "run"))
    copy.write_summary(copy.summary().model_copy(update={"remarks": (evil,)}))
    html = report(copy, load(SHAPES))
    assert evil not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
