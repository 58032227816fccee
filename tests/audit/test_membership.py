"""Membership-inference attacks on simulated logits, with and without a leak."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tinysight.audit.membership import by_likelihood, by_loss, by_loss_and_class, certainty, measure
from tinysight.audit.shadows import Shadow, Shadows, halves

CLASSES = 4


def simulate_logits(random, labels, known, ease, leak):
    """Return the logits of a model. The margin of an image is `ease`, plus `leak` for training images."""
    logits = random.normal(0, 0.3, (len(labels), CLASSES))
    logits[np.arange(len(labels)), labels] += ease + leak * known
    return logits.astype(np.float32)


@pytest.fixture
def attacked():
    """Return a function from a leak to target logits, members and shadow models."""

    def make(leak, count=8, n=4000, seed=0):
        random = np.random.default_rng(seed)
        labels, ease = random.integers(0, CLASSES, n), random.normal(2, 2, n)
        members = halves(n, 100, seed=9)
        knows = [halves(n, number, seed=9) for number in range(count)]
        shadows = Shadows.of(
            [Shadow(known, simulate_logits(random, labels, known, ease, leak)) for known in knows], labels
        )
        return simulate_logits(random, labels, members, ease, leak), members, shadows

    return make


def test_log_odds_equal_those_of_the_probability():
    logits, labels = np.random.default_rng(0).normal(size=(3, 50, CLASSES)), np.arange(50) % CLASSES
    probabilities = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    p = probabilities[:, np.arange(50), labels]
    assert certainty(logits, labels) == pytest.approx(np.log(p / (1 - p)))


def test_log_odds_of_saturated_logits_are_finite():
    assert np.isfinite(certainty(np.array([[200.0, 0, 0, 0]]), np.array([0]))).all()


def test_a_leak_is_found_and_lira_is_stronger_than_the_loss_attack(attacked):
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
def test_without_a_leak_95_percent_intervals_contain_chance(attacked, attack):
    """About 38 of 40 intervals contain the true value."""
    auc_hits, tpr_hits = 0, 0
    for seed in range(40):
        logits, members, shadows = attacked(leak=0.0, n=1000, seed=seed)
        result = measure(attack(logits, shadows), members)
        auc_hits += result.interval[0] <= 0.5 <= result.interval[1]
        tpr_hits += result.found[1].interval[0] <= 0.01 <= result.found[1].interval[1]
    assert auc_hits >= 35
    assert tpr_hits >= 35


def test_the_classwise_attack_ignores_differences_between_classes(attacked):
    logits, members, shadows = attacked(leak=0.0)
    labels = shadows.labels
    logits[np.arange(len(labels)), labels] += 5.0 * labels
    members = members | (labels == 3)  # all images of the easiest class are members
    assert measure(by_loss(logits, labels), members).auc > 0.7
    assert measure(by_loss_and_class(logits, labels), members).auc < 0.6


def test_the_auc_equals_that_of_sklearn_and_its_interval_covers_the_true_value():
    random, covered = np.random.default_rng(3), 0
    members = np.arange(600) < 300
    for _ in range(200):
        scores = random.normal(size=600) + members
        attack = measure(scores, members)
        assert attack.auc == pytest.approx(roc_auc_score(members, scores))
        covered += attack.interval[0] <= 0.7602 <= attack.interval[1]  # Phi(1 / sqrt(2))
    assert covered >= 180


def test_an_even_and_the_next_odd_shadow_model_train_on_complements():
    even, odd = halves(101, 6, seed=0), halves(101, 7, seed=0)
    assert np.array_equal(even, ~odd)
    assert even.sum() == 50
    assert not np.array_equal(even, halves(101, 8, seed=0))
