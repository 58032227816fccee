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
