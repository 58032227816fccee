"""Wrong labels that were planted are found by models that did not see them."""

import numpy as np
import pytest

from tinysight.audit.labels import find_suspects


@pytest.fixture
def planted():
    """Probabilities of a model that is right nine times in ten, and labels of which one in twenty is flipped."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 10, 5000)
    logits = random.normal(0, 1, (5000, 10))
    logits[np.arange(5000), truth] += 4
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    flipped = random.random(5000) < 0.05
    labels = np.where(flipped, (truth + random.integers(1, 10, 5000)) % 10, truth)
    return probabilities, labels, truth, flipped


def test_most_of_them_are_found_and_most_that_are_found_are_planted(planted):
    probabilities, labels, _, flipped = planted
    found = np.zeros(5000, dtype=bool)
    found[find_suspects(probabilities, labels).indices] = True
    assert (found & flipped).sum() >= 0.8 * flipped.sum()
    assert (found & flipped).sum() >= 0.7 * found.sum()


def test_the_likeliest_come_first_with_the_class_they_look_like(planted):
    probabilities, labels, truth, flipped = planted
    suspects = find_suspects(probabilities, labels)
    assert list(suspects.quality) == sorted(suspects.quality)
    assert flipped[suspects.indices[:50]].mean() > 0.95
    assert (suspects.suggested == probabilities[suspects.indices].argmax(1)).all()
    assert (suspects.suggested[:50] == truth[suspects.indices[:50]]).mean() > 0.95


def test_where_all_labels_are_right_few_are_suspected(planted):
    probabilities, _, truth, _ = planted
    assert len(find_suspects(probabilities, truth)) < 100


def test_no_process_is_forked(planted, monkeypatch):
    """A fork takes along the locks that other threads hold, and waits for them for ever."""
    monkeypatch.setattr("os.fork", lambda: pytest.fail("forked"))
    probabilities, labels, *_ = planted
    assert len(find_suspects(probabilities, labels)) > 0
