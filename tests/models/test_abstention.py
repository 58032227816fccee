"""Saying "unsure": the threshold keeps the promise it was chosen for, and costs no more answers than it must."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinysight.models.abstention import (
    apply_threshold,
    area_under_risk_coverage,
    choose_threshold,
    risk_coverage,
)


@st.composite
def answers(draw):
    """Confidences, several of them alike, and whether the answers are right."""
    n = draw(st.integers(1, 40))
    confidences = draw(arrays(np.float32, n, elements=st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9, 1.0])))
    return confidences, draw(arrays(np.bool_, n))


@given(answers(), st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_no_threshold_that_keeps_the_promise_answers_more(answered, wanted):
    confidences, correct = answered
    chosen = choose_threshold(confidences, correct, wanted)
    others = [apply_threshold(confidences, correct, float(one)) for one in np.unique(confidences)]

    assert chosen.error <= wanted
    assert chosen.coverage == max([0.0, *(other.coverage for other in others if other.error <= wanted)])
    assert apply_threshold(confidences, correct, chosen.threshold) == chosen


def test_where_no_answer_may_be_given_none_is():
    never = choose_threshold(np.array([1.0, 1.0]), np.array([True, False]), wanted_error=0.1)
    assert (never.coverage, never.error) == (0.0, 0.0)
    assert never.threshold > 1


@given(answers())
def test_the_curve_ends_with_every_answer_given(answered):
    confidences, correct = answered
    thresholds, coverage, error = risk_coverage(confidences, correct)

    assert list(thresholds) == sorted(set(confidences.tolist()), reverse=True)
    assert coverage[-1] == 1
    assert error[-1] == pytest.approx((~correct).mean())


def test_confidence_that_knows_its_errors_beats_confidence_that_does_not():
    correct = np.arange(100) >= 20
    knowing, blind = correct * 0.5 + 0.4, np.full(100, 0.9)
    assert area_under_risk_coverage(knowing, correct) < 0.05
    assert area_under_risk_coverage(blind, correct) == pytest.approx(0.2)
