"""Prediction sets: coverage, agreement with conformal p-values, texts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from tinysight.models.conformal import (
    ALL_CLASSES,
    IMAGES_NEEDED,
    SetPromise,
    describe_set,
    fit_set_threshold,
    prediction_set,
    prediction_sets,
)


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def draw(random, n, classes=6, signal=1.5):
    """Return probabilities and labels of exchangeable images, whose probabilities are not calibrated."""
    labels = random.choice(classes, n, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    logits = random.normal(size=(n, classes)) + signal * np.eye(classes)[labels]
    return softmax(3 * logits), labels


def is_in_set(calibration, labels, row, candidate):
    """Conformal prediction by its definition: the p-value of the candidate class is above 5%."""
    scores = [1 - float(calibration[i][label]) for i, label in enumerate(labels)]
    at_least_as_strange = sum(score >= 1 - float(row[candidate]) for score in scores)
    return 20 * (1 + at_least_as_strange) > len(scores) + 1


@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.sampled_from([0, 1, 3]))
def test_sets_equal_those_of_conformal_p_values(seed, n, decimals):
    random = np.random.default_rng(seed)
    probabilities, labels = draw(random, n + 5)
    probabilities = probabilities.round(decimals)  # with ties
    calibration, new = probabilities[:n], probabilities[n:]
    in_set = prediction_sets(new, fit_set_threshold(calibration, labels[:n]))
    for row, members in zip(new, in_set, strict=True):
        expected = [is_in_set(calibration, labels[:n], row, candidate) for candidate in range(6)]
        expected[row.argmax()] = True
        assert members.tolist() == expected


@pytest.mark.parametrize("n", [19, 60, 400])
def test_coverage_of_exchangeable_images_is_95_percent_on_average(n):
    random, draws, n_new = np.random.default_rng(n), 1500, 20
    by_threshold, by_set = np.zeros(draws), np.zeros(draws)
    for index in range(draws):
        probabilities, labels = draw(random, n + n_new)
        threshold = fit_set_threshold(probabilities[:n], labels[:n])
        new, true = probabilities[n:], (np.arange(n_new), labels[n:])
        by_threshold[index] = (new[true] >= threshold).mean()
        by_set[index] = prediction_sets(new, threshold)[true].mean()
    error = 4 * by_threshold.std() / np.sqrt(draws)
    assert 0.95 - error < by_threshold.mean() < 0.95 + 1 / (n + 1) + error
    assert by_set.mean() >= by_threshold.mean()  # the most probable class is always in the set


def test_coverage_exceeds_its_lower_bound_in_95_percent_of_draws():
    random, n, draws = np.random.default_rng(0), 100, 1500
    population, true = draw(random, 200_000)
    true_class = np.sort(population[np.arange(len(true)), true])
    coverages = []
    for _ in range(draws):
        chosen = random.integers(0, len(true), n)
        threshold = fit_set_threshold(population[chosen], true[chosen])
        coverages.append(1 - np.searchsorted(true_class, threshold) / len(true))
    assert np.mean(np.array(coverages) >= SetPromise(n).lower_bound) == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(("n", "rank"), [(19, 19), (20, 20), (39, 38), (100, 96), (5000, 4751)])
def test_lower_bound_is_a_quantile_of_the_beta_distribution(n, rank):
    assert SetPromise(n).lower_bound == pytest.approx(beta(rank, n + 1 - rank).ppf(0.05))


def test_too_few_images_leave_out_no_class():
    probabilities, labels = draw(np.random.default_rng(0), 19, signal=5)
    assert fit_set_threshold(probabilities[:18], labels[:18]) == ALL_CLASSES
    assert fit_set_threshold(probabilities, labels) == probabilities[np.arange(19), labels].min() > 0
    assert prediction_sets(probabilities, ALL_CLASSES).all()
    assert IMAGES_NEEDED == 19


def test_the_most_probable_class_is_always_in_the_set():
    probabilities = np.array([[0.4, 0.35, 0.25], [0.99, 0.01, 0.0]], np.float32)
    assert prediction_sets(probabilities, 0.98).tolist() == [[True, False, False], [True, False, False]]


def test_a_set_lists_its_classes_by_probability():
    names = ("cat", "dog", "ship")
    assert prediction_set(np.array([0.3, 0.5, 0.2]), 0.25, names) == ["dog", "cat"]
    assert prediction_set(np.array([0.3, 0.5, 0.2]), 0.9, names) == ["dog"]
    assert prediction_set(np.array([0.3, 0.5, 0.2]), None, names) is None


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("", ""),
        ("a", ""),
        ("ab", "a or b (95%)"),
        ("abcde", "a, b, c, d or e (95%)"),
        ("abcdef", "a, b, c, d or 2 more (95%)"),
        ("abcdefgh", ""),
    ],
)
def test_text_of_a_set(names, text):
    assert describe_set(list(names), 8) == text


def test_a_set_of_both_of_two_classes_is_text():
    assert describe_set(["dog", "cat"], 2) == "dog or cat (95%)"


def test_text_of_the_promise():
    assert SetPromise(100).describe() == (
        "Prediction sets were calibrated on 100 validation images. On average, they contain the true class for 95.0% "
        "of new images of the same kind, and for at least 91.1% with 95% confidence."
    )
    assert SetPromise(18).describe() == (
        "Prediction sets contain all classes: 18 validation images are too few to leave any out; at least 19 are "
        "needed."
    )
