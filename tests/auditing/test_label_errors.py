"""Injected label errors are found with out-of-fold predictions."""

import numpy as np
import pytest
from cleanlab.filter import find_label_issues as cleanlab_issues

from tinysight.auditing.sections.label_errors import LabelErrors, LabelIssue, LabelIssues, find_label_issues


@pytest.fixture
def planted():
    """Predictions with an accuracy of about 0.9, and labels of which 5% are flipped."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 10, 5000)
    logits = random.normal(0, 1, (5000, 10))
    logits[np.arange(5000), truth] += 4
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    flipped = random.random(5000) < 0.05
    labels = np.where(flipped, (truth + random.integers(1, 10, 5000)) % 10, truth)
    return probabilities, labels, truth, flipped


def test_recall_is_at_least_80_and_precision_at_least_70_percent(planted):
    probabilities, labels, _, flipped = planted
    is_issue = np.zeros(5000, dtype=bool)
    is_issue[find_label_issues(probabilities, labels).indices] = True
    assert (is_issue & flipped).sum() >= 0.8 * flipped.sum()
    assert (is_issue & flipped).sum() >= 0.7 * is_issue.sum()


def test_issues_are_sorted_by_quality_and_suggest_the_true_class(planted):
    probabilities, labels, truth, flipped = planted
    issues = find_label_issues(probabilities, labels)
    assert list(issues.quality) == sorted(issues.quality)
    assert flipped[issues.indices[:50]].mean() > 0.95
    assert (issues.suggested == probabilities[issues.indices].argmax(1)).all()
    assert (issues.suggested[:50] == truth[issues.indices[:50]]).mean() > 0.95


def test_correct_labels_give_few_issues(planted):
    probabilities, _, truth, _ = planted
    assert len(find_label_issues(probabilities, truth)) < 100


def test_no_process_is_forked(planted, monkeypatch):
    """A fork copies locks that other threads hold, which can deadlock."""
    monkeypatch.setattr("os.fork", lambda: pytest.fail("forked"))
    probabilities, labels, *_ = planted
    assert len(find_label_issues(probabilities, labels)) > 0


def test_issues_are_those_that_both_filters_of_cleanlab_agree_on(planted):
    probabilities, labels, *_ = planted
    issues = find_label_issues(probabilities, labels)
    filters = ("prune_by_class", "prune_by_noise_rate")
    by_class, by_rate = (cleanlab_issues(labels, probabilities, filter_by=name, n_jobs=1) for name in filters)
    assert sorted(issues.indices) == np.flatnonzero(by_class & by_rate).tolist()
    assert issues.quality == pytest.approx(probabilities[issues.indices, labels[issues.indices]])


ISSUES = (LabelIssue("train/3", "cat", "dog", 0.0123), LabelIssue("test/0", "dog", "cat", 0.2))


@pytest.mark.parametrize(
    ("by_split", "expected"),
    [
        ({"train": 1, "test": 1}, "2 likely errors in n = 1,300 labels, 1 of them in the test set (4 shadow models)"),
        ({"train": 2, "test": 0}, "2 likely errors in n = 1,300 labels (4 shadow models)"),
    ],
)
def test_the_summary_states_the_errors_in_the_test_set_if_any(by_split, expected):
    assert LabelErrors().summarize(LabelIssues(4, 1300, by_split, ISSUES)) == expected


def test_the_table_lists_label_and_prediction_of_the_worst_images():
    (table,) = LabelErrors().rows(LabelIssues(4, 1300, {}, ISSUES), limit=1)
    (row,) = table.rows
    assert [(listed.image, listed.lines) for listed in row.images] == [("train/3", ("label cat", "predicted dog"))]
    assert (table.n_total, table.unit, table.columns) == (2, "likely label errors", ())
