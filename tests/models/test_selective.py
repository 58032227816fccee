"""Abstention thresholds meet their target error with maximal coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinysight.models.selective import apply_threshold, area_under_risk_coverage, choose_threshold, risk_coverage


@st.composite
def predictions(draw):
    """Confidences with ties, and whether each prediction is correct."""
    n = draw(st.integers(1, 40))
    confidences = draw(arrays(np.float32, n, elements=st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9, 1.0])))
    return confidences, draw(arrays(np.bool_, n))


@given(predictions(), st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_chosen_threshold_maximizes_coverage_within_the_target_error(predictions, target):
    confidences, correct = predictions
    chosen = choose_threshold(confidences, correct, target)
    candidates = [apply_threshold(confidences, correct, float(threshold)) for threshold in np.unique(confidences)]

    assert chosen.error <= target
    assert chosen.coverage == max([0.0, *(result.coverage for result in candidates if result.error <= target)])
    assert apply_threshold(confidences, correct, chosen.threshold) == chosen


def test_abstains_always_if_no_threshold_meets_the_target_error():
    result = choose_threshold(np.array([1.0, 1.0]), np.array([True, False]), target_error=0.1)
    assert (result.coverage, result.error) == (0.0, 0.0)
    assert result.threshold > 1


@given(predictions())
def test_risk_coverage_curve_ends_at_full_coverage(predictions):
    confidences, correct = predictions
    thresholds, coverage, error = risk_coverage(confidences, correct)

    assert list(thresholds) == sorted(set(confidences.tolist()), reverse=True)
    assert coverage[-1] == 1
    assert error[-1] == pytest.approx((~correct).mean())


def test_aurc_is_lower_for_informative_confidences():
    correct = np.arange(100) >= 20
    informative, constant = correct * 0.5 + 0.4, np.full(100, 0.9)
    assert area_under_risk_coverage(informative, correct) < 0.05
    assert area_under_risk_coverage(constant, correct) == pytest.approx(0.2)


# Four images in order of confidence: correct, wrong, correct, correct. Two have the same confidence.
CONFIDENCES = np.array([0.5, 0.9, 0.7, 0.7])
CORRECT = np.array([True, True, False, True])


def test_risk_coverage_curve_equals_the_one_computed_by_hand():
    thresholds, coverage, error = risk_coverage(CONFIDENCES, CORRECT)
    assert thresholds.tolist() == [0.9, 0.7, 0.5]
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert error.tolist() == pytest.approx([0, 1 / 3, 1 / 4])


def test_area_under_the_curve_equals_the_one_computed_by_hand():
    expected = 0.25 * 0 + 0.5 * (1 / 3) + 0.25 * (1 / 4)
    assert area_under_risk_coverage(CONFIDENCES, CORRECT) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("target", "threshold", "coverage", "error"),
    [
        (0.0, 0.9, 0.25, 0.0),
        (0.24, 0.9, 0.25, 0.0),
        (0.25, 0.5, 1.0, 0.25),  # the lower threshold has the smaller error
        (1.0, 0.5, 1.0, 0.25),
    ],
)
def test_threshold_is_the_lowest_that_meets_the_target_error(target, threshold, coverage, error):
    chosen = choose_threshold(CONFIDENCES, CORRECT, target)
    assert (chosen.threshold, chosen.coverage, chosen.error) == (threshold, coverage, error)


@pytest.mark.parametrize(
    ("threshold", "coverage", "error"), [(0.0, 1.0, 0.25), (0.7, 0.75, 1 / 3), (0.71, 0.25, 0.0), (0.91, 0.0, 0.0)]
)
def test_threshold_accepts_confidences_equal_to_it(threshold, coverage, error):
    result = apply_threshold(CONFIDENCES, CORRECT, threshold)
    assert result.threshold == threshold
    assert (result.coverage, result.error) == pytest.approx((coverage, error))
