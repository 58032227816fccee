import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import softmax
from scipy.stats import binomtest

from tinysight.evaluation.calibration import (
    N_BINS,
    bin_indices,
    bin_sums,
    debiased_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_bins,
)


def reference_ece(confidences, correct):
    """The definition of Guo et al. (2017), bin by bin."""
    error = 0.0
    for number in range(15):
        members = [i for i, c in enumerate(confidences) if number / 15 < c <= (number + 1) / 15]
        if members:
            accuracy = sum(bool(correct[i]) for i in members) / len(members)
            confidence = sum(float(confidences[i]) for i in members) / len(members)
            error += len(members) / len(confidences) * abs(accuracy - confidence)
    return error


edges = st.sampled_from([number / 15 for number in range(1, 16)])
confidence = st.floats(0, 1, exclude_min=True, allow_subnormal=False) | edges


@given(arrays.arrays(np.float64, st.integers(1, 60), elements=confidence), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_ece_matches_definition(confidences, random):
    correct = np.array([random.random() < 0.6 for _ in confidences])

    assert expected_calibration_error(confidences, correct) == pytest.approx(reference_ece(confidences, correct))


def test_calibrated_confidence_has_zero_ece():
    confidences = np.full(10, 0.7)
    correct = np.arange(10) < 7

    assert expected_calibration_error(confidences, correct) == pytest.approx(0)


def test_confident_and_wrong_has_ece_1():
    assert expected_calibration_error(np.ones(5), np.zeros(5, dtype=bool)) == 1


def test_errors_of_opposite_sign_do_not_cancel_between_bins():
    confidences = np.array([0.5, 0.9])
    correct = np.array([True, False])

    assert expected_calibration_error(confidences, correct) == pytest.approx((0.5 + 0.9) / 2)


def test_edges_belong_to_the_bin_below():
    assert N_BINS == 15
    edges = np.arange(16) / 15
    assert bin_indices(edges).tolist() == [0, *range(15)]
    assert bin_indices(np.nextafter(edges[:-1], 2)).tolist() == list(range(15))


def test_bin_sums_have_an_entry_for_every_bin():
    sums = bin_sums(np.array([0.5, -0.25, 1.0]), np.array([2, 2, 0]))
    assert sums.tolist() == [1.0, 0.0, 0.25, *[0.0] * 12]
    assert sums.dtype == np.float64


def test_reliability_bins_state_the_means_of_bins_with_images():
    confidences = np.array([0.95, 0.35, 0.97, 0.36, 0.38, 1.0])
    correct = np.array([True, False, True, True, False, False])
    low, high = reliability_bins(confidences, correct)
    assert (low.n, high.n) == (3, 3)
    assert (low.confidence, low.accuracy) == pytest.approx((1.09 / 3, 1 / 3))
    assert (high.confidence, high.accuracy) == pytest.approx((2.92 / 3, 2 / 3))


@given(arrays.arrays(np.float64, st.integers(1, 60), elements=confidence), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_reliability_bins_reproduce_the_ece_and_the_accuracy(confidences, random):
    correct = np.array([random.random() < 0.6 for _ in confidences])
    bins = reliability_bins(confidences, correct)
    gaps = [each.n * abs(each.accuracy - each.confidence) for each in bins]
    assert sum(gaps) / len(confidences) == pytest.approx(expected_calibration_error(confidences, correct))
    assert sum(each.n * each.accuracy for each in bins) == pytest.approx(correct.sum())
    assert [each.confidence for each in bins] == sorted(each.confidence for each in bins)


def test_negative_log_likelihood_is_that_of_the_true_class():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0]])
    nats = negative_log_likelihood(probabilities, np.array([1, 2, 0]))
    assert nats.tolist() == pytest.approx([np.log(4), -np.log(0.7), 0])


def test_negative_log_likelihood_of_a_zero_is_that_of_the_smallest_float32():
    tiny = float(np.finfo(np.float32).tiny)
    nats = negative_log_likelihood(np.array([[0.0, 1.0], [1e-300, 1.0], [2 * tiny, 1.0]]), np.zeros(3, dtype=int))
    assert nats.tolist() == pytest.approx([126 * np.log(2), 126 * np.log(2), 125 * np.log(2)])


def draw(random, n, temperature):
    """Confidences of predictions whose true probabilities are the softmax of the logits without temperature."""
    logits = 2 * random.normal(size=(n, 3))
    true, predicted = softmax(logits, axis=1), softmax(logits * temperature, axis=1)
    labels = (true.cumsum(1) < random.random((n, 1))).sum(1).clip(max=2)
    return predicted.max(1), predicted.argmax(1) == labels, true[np.arange(n), predicted.argmax(1)]


@given(st.integers(2, 80), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_debiased_error_is_the_mean_product_of_different_residuals_in_a_bin(n, seed):
    confidences, correct, _ = draw(np.random.default_rng(seed), n, 2.0)
    residuals, square = (correct - confidences)[np.argsort(confidences)], 0.0
    for part in np.array_split(residuals, min(15, max(1, n // 5))):
        products = [a * b for i, a in enumerate(part) for j, b in enumerate(part) if i != j]
        square += len(part) / n * np.mean(products)
    error, (low, high) = debiased_calibration_error(confidences, correct)
    assert error**2 == pytest.approx(max(0.0, square), abs=1e-12)
    assert 0 <= low <= error <= high <= 1
    assert low < high


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("n", [2, 20, 100, 500])
def test_calibration_interval_contains_the_true_error_in_95_percent_of_draws(n, temperature):
    random = np.random.default_rng(n)
    confidences, _, true = draw(random, 400_000, temperature)
    error = np.sqrt(((true - confidences) ** 2).mean())
    covered = 0
    for _ in range(200):
        _, (low, high) = debiased_calibration_error(*draw(random, n, temperature)[:2])
        covered += low <= error <= high
    assert covered >= 181  # the 1st percentile of 200 draws at 95%, less one draw for the bins


def test_the_error_of_a_calibrated_classifier_is_near_zero_where_the_ece_is_not():
    random = np.random.default_rng(0)
    draws = [draw(random, 100, 1.0)[:2] for _ in range(100)]
    assert np.mean([expected_calibration_error(*outcome) for outcome in draws]) > 0.09
    assert np.mean([debiased_calibration_error(*outcome)[0] for outcome in draws]) < 0.06
    assert np.median([debiased_calibration_error(*outcome)[1][0] for outcome in draws]) == 0


def test_a_single_image_tells_nothing_about_calibration():
    error, interval = debiased_calibration_error(np.array([0.75]), np.array([True]))
    assert (error, interval) == (0.25, (0.0, 1.0))


def test_reliability_bins_have_wilson_intervals():
    confidences, correct = np.repeat([0.5, 0.95], [10, 6]), np.repeat([True, False, True], [4, 6, 6])
    lower, upper = reliability_bins(confidences, correct)
    expected = binomtest(4, 10).proportion_ci(method="wilson")
    assert lower.accuracy_ci95 == pytest.approx((expected.low, expected.high))
    assert upper.accuracy_ci95 == (pytest.approx(0.6097, abs=1e-4), 1.0)


def test_the_interval_of_the_squared_error_is_as_wide_as_its_spread():
    """Against the standard deviation of the estimate in simulated draws of an overconfident classifier."""
    random = np.random.default_rng(0)
    squares, widths = [], []
    for _ in range(300):
        confidences = random.uniform(0.5, 1, 1500)
        correct = random.random(1500) < confidences - 0.15
        error, (low, high) = debiased_calibration_error(confidences, correct)
        squares.append(error**2)
        widths.append((high**2 - low**2) / (2 * 1.96))
    assert np.mean(widths) == pytest.approx(np.std(squares), rel=0.15)
