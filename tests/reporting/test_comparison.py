"""Comparison page: the rows of its tables, and the images that only one run classifies correctly."""

import re
import shutil
from html import unescape

import numpy as np
import pytest

from tinysight.data.load import load
from tinysight.evaluation.evaluate import evaluate
from tinysight.reporting.comparison import render_comparison
from tinysight.runs.audit_results import PairedComparison
from tinysight.runs.run import Run

NAMES = ("first", "<b>second</b>")


@pytest.fixture(scope="module")
def dataset():
    return load("shapes:train=100,test=30")


@pytest.fixture(scope="module")
def runs(trained, tmp_path_factory):
    """Two evaluated copies of one run; the second has other totals."""
    folder = tmp_path_factory.mktemp("compared")
    made = {name: Run(shutil.copytree(trained, folder / str(number))) for number, name in enumerate(NAMES)}
    evaluate(made["first"])
    second = made[NAMES[1]]
    evaluate(second)
    second.write_summary(second.summary().model_copy(update={"train_seconds": 1234.4, "parameters": 98765}))
    return made


def page(runs, dataset, split="test", counts=(14, 0), **changes):
    pair = {"only_first": 1234, "only_second": 5, "difference": 0.0123, "interval": (-0.004, 0.03)}
    values = {"p_value": 0.01, "p_value_holm": 0.0234}
    comparison = PairedComparison(*NAMES, **pair | values | changes)
    only_right = {name: np.arange(count) for name, count in zip(NAMES, counts, strict=True)}
    predicted = {"first": dataset.test.labels, NAMES[1]: (dataset.test.labels + 1) % 10}
    return render_comparison(runs, [comparison], only_right, predicted, dataset, split)


def rows(html):
    """Return the text of each cell of each row."""
    found = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    texts = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL) for row in found]
    return [[" ".join(unescape(re.sub(r"<[^>]+>", "", text)).split()) for text in row] for row in texts]


def test_the_runs_are_side_by_side(runs, dataset):
    table = rows(page(runs, dataset))
    metrics = runs["first"].metrics()
    low, high = metrics.accuracy_ci95
    assert table[0][:3] == ["run", "test accuracy", "n"]
    for row, name in zip(table[1:3], NAMES, strict=True):
        assert row[:4] == [
            name,
            f"{metrics.accuracy:.1%} {low:.1%} to {high:.1%}",
            "30",
            "{:.1%} {:.1%} to {:.1%}".format(metrics.calibration.rms_error, *metrics.intervals.calibration_error),
        ]
        assert row[6] == f"early-stopping, 2 epochs, seed {runs[name].environment().seed}"
    assert table[2][4:6] == ["1,234 s", "98,765"]


def test_differences_are_in_points_with_their_interval(runs, dataset):
    assert rows(page(runs, dataset))[4] == [*NAMES, "+1.23 points -0.40 to +3.00", "1,234", "5", "0.023"]


@pytest.mark.parametrize(("p", "text"), [(1.0, "1"), (0.0001, "0.0001"), (0.00009, "< 0.0001"), (0.0, "< 0.0001")])
def test_small_p_values_are_given_as_a_bound(runs, dataset, p, text):
    assert rows(page(runs, dataset, p_value_holm=p))[4][-1] == text


def test_at_most_twelve_images_are_shown_for_each_run(runs, dataset):
    html = page(runs, dataset)
    assert html.count("<img ") == 12
    assert "Only first is correct: 14 of 30 test images" in html
    assert "Only &lt;b&gt;second&lt;/b&gt; is correct: 0 of 30 test images" in html
    label = int(dataset.test.labels[11])
    names = dataset.class_names
    spans = re.findall(r"<span>(.*?)</span>", html)
    assert spans[-4:] == [
        names[label],
        f"first: {names[label]}",
        f"&lt;b&gt;second&lt;/b&gt;: {names[(label + 1) % 10]}",
        "test/11",
    ]
    assert page(runs, dataset, counts=(3, 2)).count("<img ") == 5


def test_validation_images_are_counted_but_not_shown(runs, dataset):
    html = page(runs, dataset, split="validation")
    assert "<img " not in html
    assert "14 of 30 validation images" in html


def test_names_are_escaped_in_the_title_and_the_heading(runs, dataset):
    html = page(runs, dataset)
    assert "<b>second" not in html
    assert "<title>first and &lt;b&gt;second&lt;/b&gt;</title>" in html
