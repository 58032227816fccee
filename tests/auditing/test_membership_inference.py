"""Membership-inference attacks on simulated logits, with and without a leak."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from tinysight.auditing.sections.membership_inference import (
    FALSE_POSITIVE_RATES,
    MembershipAttack,
    MembershipInference,
    MembershipInferenceSection,
    TprAtFpr,
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


def test_log_odds_of_one_model_equal_those_of_many():
    logits, labels = np.random.default_rng(1).normal(size=(2, 9, CLASSES)), np.arange(9) % CLASSES
    assert log_odds(logits, labels)[1] == pytest.approx(log_odds(logits[1], labels))
    assert log_odds(np.array([[3.0, 1.0]]), np.array([1])) == pytest.approx([-2.0])


def test_the_classwise_attack_centers_and_scales_each_class_by_hand():
    """Log-odds of two classes are differences of logits: 1, 2, 3, 4, 9 in class 0 and -1, -1, -1 in class 1."""
    odds, labels = np.array([1.0, 2, 3, 4, 9, -1, -1, -1]), np.array([0] * 5 + [1] * 3)
    logits = np.zeros((8, 2))
    logits[np.arange(8), labels] = odds
    assert loss_attack(logits, labels) == pytest.approx(odds)
    # class 0: median 3, quartiles 2 and 4; class 1 has no spread, so it is only centered
    assert classwise_loss_attack(logits, labels) == pytest.approx([-1, -0.5, 0, 0.5, 3, 0, 0, 0])


def two_class_logits(odds):
    """Logits of class 0 and 1 whose log-odds of class 0 are `odds`."""
    return np.stack([odds, np.zeros_like(odds)], axis=-1)


def test_lira_is_the_log_ratio_of_two_normal_densities():
    odds = np.array([[1.0, 4, 0], [3, 5, 2], [7, 0, 1], [6, 3, 9]])
    in_mask = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0]], dtype=bool)
    target = np.array([2.0, 1, 5])
    shadows = ShadowModels(in_mask, two_class_logits(odds), np.zeros(3, dtype=int))
    expected = np.zeros(3)
    for sign, mask in ((1, in_mask), (-1, ~in_mask)):
        groups = [odds[mask[:, image], image] for image in range(3)]
        variance = sum(((group - group.mean()) ** 2).sum() for group in groups) / sum(
            len(group) - 1 for group in groups
        )
        means = np.array([group.mean() for group in groups])
        expected += sign * norm.logpdf(target, means, variance**0.5)
    assert lira(two_class_logits(target), shadows) == pytest.approx(expected)


def test_lira_of_two_shadow_models_uses_the_spread_of_the_means():
    """With one model on each side, there is no spread within an image."""
    odds = np.array([[1.0, 4, 0], [3, 5, 2]])
    in_mask = np.array([[1, 0, 1], [0, 1, 0]], dtype=bool)
    target, inside, outside = np.array([2.0, 1, 5]), np.array([1.0, 5, 0]), np.array([3.0, 4, 2])
    shadows = ShadowModels(in_mask, two_class_logits(odds), np.zeros(3, dtype=int))
    expected = norm.logpdf(target, inside, inside.std()) - norm.logpdf(target, outside, outside.std())
    assert lira(two_class_logits(target), shadows) == pytest.approx(expected)


def test_lira_of_equal_shadow_models_is_finite_and_0():
    shadows = ShadowModels(np.eye(4, 3, dtype=bool), np.ones((4, 3, 2)), np.zeros(3, dtype=int))
    assert lira(np.ones((3, 2)), shadows) == pytest.approx([0, 0, 0])


def delong_interval(scores, members):
    """The structural components of DeLong et al. (1988), pair by pair."""
    inside, outside = scores[members], scores[~members]
    pairs = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
    by_member, by_other = pairs.mean(1), pairs.mean(0)
    error = (by_member.var(ddof=1) / len(inside) + by_other.var(ddof=1) / len(outside)) ** 0.5
    return pairs.mean() - 1.96 * error, pairs.mean() + 1.96 * error


@pytest.mark.parametrize("decimals", [1, 6])
def test_the_interval_of_the_auc_is_that_of_delong_also_with_ties(decimals):
    random = np.random.default_rng(4)
    members = np.arange(100) < 37
    scores = (random.normal(size=100) + 0.7 * members).round(decimals)
    attack = evaluate_attack(scores, members)
    assert attack.auc == pytest.approx(roc_auc_score(members, scores))
    assert attack.interval == pytest.approx(delong_interval(scores, members))


def test_the_interval_of_the_auc_stays_in_0_1():
    members = np.arange(12) < 6
    scores = np.array([6.0, 7, 8, 9, 10, 4.5, 1, 2, 3, 4, 5, 0])
    assert evaluate_attack(scores, members).interval[1] == 1.0
    assert evaluate_attack(-scores, members).interval[0] == 0.0


def test_true_positive_rates_allow_exactly_the_stated_false_positives():
    """1,000 others with scores 0 to 999: at 0.1% one may score higher than the threshold, at 1% ten."""
    assert FALSE_POSITIVE_RATES == (0.001, 0.01)
    members = np.arange(1004) < 4
    scores = np.concatenate([[998.0, 998.5, 989.5, 989.0], np.arange(1000)])
    strict, loose = evaluate_attack(scores, members).tpr_at_fpr
    assert (strict.fpr, strict.tpr) == (0.001, 0.25)
    assert (loose.fpr, loose.tpr) == (0.01, 0.75)


def test_intervals_of_true_positive_rates_are_bootstrap_percentiles():
    random = np.random.default_rng(6)
    members = np.arange(300) < 150
    scores = random.normal(size=300) + 1.5 * members
    inside, outside = scores[members], scores[~members]

    def rate(resampled_inside, resampled_outside, fpr):
        return (resampled_inside > np.sort(resampled_outside)[-1 - int(fpr * 150)]).mean()

    for seed in (0, 3):
        generator = np.random.default_rng(seed)
        attack = evaluate_attack(scores, members, *([seed] if seed else []))
        for measured in attack.tpr_at_fpr:
            rates = [
                rate(generator.choice(inside, 150), generator.choice(outside, 150), measured.fpr) for _ in range(500)
            ]
            assert measured.interval == pytest.approx(tuple(np.percentile(rates, [2.5, 97.5])))
            assert measured.tpr == rate(inside, outside, measured.fpr)


def attack_with(auc, low, high):
    rates = (TprAtFpr(0.001, 0.02, (0.01, 0.04)), TprAtFpr(0.01, 0.1, (0.05, 0.2)))
    return MembershipAttack(auc, (low, high), rates)


def inference(**attacks):
    return MembershipInference(4, 1200, 34, attacks, ("train/7", "train/1", "train/5"))


def test_the_summary_states_the_attack_with_the_highest_auc():
    result = inference(loss=attack_with(0.6, 0.55, 0.65), LiRA=attack_with(0.81, 0.78, 0.84))
    assert MembershipInferenceSection().summarize(result) == (
        "best attack: LiRA, AUC 0.81, 95% CI 0.78 to 0.84 (0.50 is chance); it identifies 2.0% of the training images "
        "at a false-positive rate of 0.1% (n = 1,200 training images and 34 others)"
    )


@pytest.mark.parametrize(("low", "is_chance"), [(0.5, True), (0.49, True), (0.501, False)])
def test_an_attack_is_better_than_chance_if_its_interval_is_above_one_half(low, is_chance):
    summary = MembershipInferenceSection().summarize(inference(loss=attack_with(0.6, low, 0.65)))
    assert summary.startswith("no attack is better than chance (best: loss, AUC 0.60, 95% CI ") == is_chance
    assert summary.endswith("0.50 is chance; n = 1,200 training images and 34 others)") == is_chance


def test_the_tables_list_all_attacks_and_the_most_exposed_images():
    result = inference(loss=attack_with(0.6, 0.55, 0.65), LiRA=attack_with(0.81, 0.78, 0.84))
    attacks, exposed = MembershipInferenceSection().rows(result, limit=2)
    assert attacks.columns == ("attack", "AUC", "TPR at 0.1% FPR", "TPR at 1.0% FPR")
    assert [[cell.text for cell in row.cells] for row in attacks.rows] == [
        ["loss", "0.600", "2.0%", "10.0%"],
        ["LiRA", "0.810", "2.0%", "10.0%"],
    ]
    assert [cell.detail for cell in attacks.rows[1].cells] == ["", "0.780 to 0.840", "1.0% to 4.0%", "5.0% to 20.0%"]
    assert attacks.note.startswith("4 shadow models; 1,200 training images and 34 others.")
    assert [row.images[0].image for row in exposed.rows] == ["train/7", "train/1"]
    assert (attacks.n_total, exposed.n_total) == (2, 3)
