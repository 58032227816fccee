import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinysight.evaluation.calibration import expected_calibration_error


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
