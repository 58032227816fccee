"""Attacks on scores whose truth is planted: they find what is there, and nothing where there is nothing."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tinysight.audit.membership import by_likelihood, by_loss, by_loss_and_class, certainty, measure
from tinysight.audit.shadows import Shadow, Shadows, halves

CLASSES = 4


def said(random, labels, known, ease, leak):
    """Logits of a model: each image is as easy as it is, and those that are known are easier by `leak`."""
    logits = random.normal(0, 0.3, (len(labels), CLASSES))
    logits[np.arange(len(labels)), labels] += ease + leak * known
    return logits.astype(np.float32)


@pytest.fixture
def attacked():
    """Return a function from a leak to target logits, members and shadows on images of unequal ease."""

    def make(leak, count=8, n=4000, seed=0):
        random = np.random.default_rng(seed)
        labels, ease = random.integers(0, CLASSES, n), random.normal(2, 2, n)
        members = halves(n, 100, seed=9)
        knows = [halves(n, number, seed=9) for number in range(count)]
        shadows = Shadows.of([Shadow(known, said(random, labels, known, ease, leak)) for known in knows], labels)
        return said(random, labels, members, ease, leak), members, shadows

    return make


def test_certainty_is_the_log_odds_of_the_true_class():
    logits, labels = np.random.default_rng(0).normal(size=(3, 50, CLASSES)), np.arange(50) % CLASSES
    probabilities = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    p = probabilities[:, np.arange(50), labels]
    assert certainty(logits, labels) == pytest.approx(np.log(p / (1 - p)))


def test_certainty_of_what_is_known_by_heart_is_finite():
    assert np.isfinite(certainty(np.array([[200.0, 0, 0, 0]]), np.array([0]))).all()


def test_a_leak_is_found_and_most_of_it_by_those_who_know_other_models(attacked):
    logits, members, shadows = attacked(leak=1.5)
    loss, lira = (
        measure(scores, members) for scores in (by_loss(logits, shadows.labels), by_likelihood(logits, shadows))
    )
    assert loss.auc > 0.55
    assert lira.auc > 0.95
    assert lira.found[1].share > 0.5 > loss.found[1].share


@pytest.mark.parametrize(
    "attack",
    [
        lambda logits, shadows: by_loss(logits, shadows.labels),
        lambda logits, shadows: by_loss_and_class(logits, shadows.labels),
        by_likelihood,
    ],
    ids=["loss", "loss by class", "LiRA"],
)
def test_where_nothing_leaks_every_attack_guesses(attacked, attack):
    """Of intervals of 95 %, about nineteen in twenty hold the truth."""
    areas, alarms = 0, 0
    for seed in range(40):
        logits, members, shadows = attacked(leak=0.0, n=1000, seed=seed)
        found = measure(attack(logits, shadows), members)
        areas += found.interval[0] <= 0.5 <= found.interval[1]
        alarms += found.found[1].interval[0] <= 0.01 <= found.found[1].interval[1]
    assert areas >= 35
    assert alarms >= 35


def test_a_class_that_is_easier_than_others_is_no_leak(attacked):
    logits, members, shadows = attacked(leak=0.0)
    labels = shadows.labels
    logits[np.arange(len(labels)), labels] += 5.0 * labels
    members = members | (labels == 3)  # as if all images of the easiest class were members
    assert measure(by_loss(logits, labels), members).auc > 0.7
    assert measure(by_loss_and_class(logits, labels), members).auc < 0.6


def test_the_area_is_sklearns_and_its_interval_holds_the_truth():
    random, held = np.random.default_rng(3), 0
    members = np.arange(600) < 300
    for _ in range(200):
        scores = random.normal(size=600) + members
        attack = measure(scores, members)
        assert attack.auc == pytest.approx(roc_auc_score(members, scores))
        held += attack.interval[0] <= 0.7602 <= attack.interval[1]  # Phi(1 / sqrt(2))
    assert held >= 180


def test_two_shadows_share_the_images_between_them():
    one, other = halves(101, 6, seed=0), halves(101, 7, seed=0)
    assert np.array_equal(one, ~other)
    assert one.sum() == 50
    assert not np.array_equal(one, halves(101, 8, seed=0))
