"""Membership-inference attacks on simulated logits, with and without a leak."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tinysight.auditing.sections.membership_inference import (
    classwise_loss_attack,
    evaluate_attack,
    lira,
    log_odds,
    loss_attack,
)
from tinysight.auditing.shadow_models import ShadowModel, ShadowModels, training_half

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
        members = training_half(n, 100, seed=9)
        knows = [training_half(n, number, seed=9) for number in range(count)]
        shadows = ShadowModels.stack(
            [ShadowModel(known, simulate_logits(random, labels, known, ease, leak)) for known in knows], labels
        )
        return simulate_logits(random, labels, members, ease, leak), members, shadows

    return make


def test_log_odds_equal_those_of_the_probability():
    logits, labels = np.random.default_rng(0).normal(size=(3, 50, CLASSES)), np.arange(50) % CLASSES
    probabilities = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    p = probabilities[:, np.arange(50), labels]
    assert log_odds(logits, labels) == pytest.approx(np.log(p / (1 - p)))


def test_log_odds_of_saturated_logits_are_finite():
    assert np.isfinite(log_odds(np.array([[200.0, 0, 0, 0]]), np.array([0]))).all()


def test_a_leak_is_found_and_lira_is_stronger_than_the_loss_attack(attacked):
    logits, members, shadows = attacked(leak=1.5)
    loss_result, lira_result = (
        evaluate_attack(scores, members) for scores in (loss_attack(logits, shadows.labels), lira(logits, shadows))
    )
    assert loss_result.auc > 0.55
    assert lira_result.auc > 0.95
    assert lira_result.tpr_at_fpr[1].tpr > 0.5 > loss_result.tpr_at_fpr[1].tpr


@pytest.mark.parametrize(
    "attack",
    [
        lambda logits, shadows: loss_attack(logits, shadows.labels),
        lambda logits, shadows: classwise_loss_attack(logits, shadows.labels),
        lira,
    ],
    ids=["loss", "class-wise loss", "LiRA"],
)
def test_without_a_leak_95_percent_intervals_contain_chance(attacked, attack):
    """About 38 of 40 intervals contain the true value."""
    auc_hits, tpr_hits = 0, 0
    for seed in range(40):
        logits, members, shadows = attacked(leak=0.0, n=1000, seed=seed)
        result = evaluate_attack(attack(logits, shadows), members)
        auc_hits += result.interval[0] <= 0.5 <= result.interval[1]
        tpr_hits += result.tpr_at_fpr[1].interval[0] <= 0.01 <= result.tpr_at_fpr[1].interval[1]
    assert auc_hits >= 35
    assert tpr_hits >= 35


def test_the_classwise_attack_ignores_differences_between_classes(attacked):
    logits, members, shadows = attacked(leak=0.0)
    labels = shadows.labels
    logits[np.arange(len(labels)), labels] += 5.0 * labels
    members = members | (labels == 3)  # all images of the easiest class are members
    assert evaluate_attack(loss_attack(logits, labels), members).auc > 0.7
    assert evaluate_attack(classwise_loss_attack(logits, labels), members).auc < 0.6


def test_the_auc_equals_that_of_sklearn_and_its_interval_covers_the_true_value():
    random, covered = np.random.default_rng(3), 0
    members = np.arange(600) < 300
    for _ in range(200):
        scores = random.normal(size=600) + members
        attack = evaluate_attack(scores, members)
        assert attack.auc == pytest.approx(roc_auc_score(members, scores))
        covered += attack.interval[0] <= 0.7602 <= attack.interval[1]  # Phi(1 / sqrt(2))
    assert covered >= 180


def test_an_even_and_the_next_odd_shadow_model_train_on_complements():
    even, odd = training_half(101, 6, seed=0), training_half(101, 7, seed=0)
    assert np.array_equal(even, ~odd)
    assert even.sum() == 50
    assert not np.array_equal(even, training_half(101, 8, seed=0))
