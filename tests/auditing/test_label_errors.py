"""Injected label errors are found with out-of-fold predictions."""

import numpy as np
import pytest

from tinysight.auditing.sections.label_errors import find_label_issues


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
