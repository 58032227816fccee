import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinysight.evaluation.calibration import (
    N_BINS,
    bin_indices,
    bin_sums,
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
