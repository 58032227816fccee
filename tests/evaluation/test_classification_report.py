import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import classification_report as reference

from tinysight.evaluation.metrics import classification_report, compute_metrics


def expected(probabilities, labels, names):
    predictions = probabilities.argmax(axis=1)
    all_labels = range(len(names))
    return reference(labels, predictions, labels=all_labels, target_names=names, digits=4, zero_division=0)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 300),
    names=st.lists(st.text("abcä 猫", min_size=1, max_size=25), min_size=2, max_size=12, unique=True),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_report_equals_scikit_learn(outcome, seed, n, names):
    probabilities, labels = outcome(seed, n, len(names))
    # scikit-learn 1.9 prints the support as "3.0" if no prediction is correct.
    assume((probabilities.argmax(axis=1) == labels).any())

    report = classification_report(compute_metrics(probabilities, labels, names, "test"))

    assert report == expected(probabilities, labels, names)


def test_report_with_large_counts_equals_scikit_learn(outcome):
    names = ["cat", "dog"]
    labels = np.repeat([0, 1], 300_000)
    probabilities = np.eye(2)[labels]

    report = classification_report(compute_metrics(probabilities, labels, names, "test"))

    assert report == expected(probabilities, labels, names)
