"""Scores that count every class equally, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from tinysight.models.scores import balanced_accuracy, describe_never_predicted, macro_f1, never_predicted


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50))
def test_scores_equal_scikit_learn(pairs):
    labels, predictions = np.array(pairs).T
    per_class = reference.recall_score(labels, predictions, labels=np.unique(labels), average=None, zero_division=0)
    assert balanced_accuracy(labels, predictions) == pytest.approx(per_class.mean())
    f1 = reference.f1_score(labels, predictions, labels=range(5), average="macro", zero_division=0)
    assert macro_f1(labels, predictions, 5) == pytest.approx(f1)


def test_only_classes_with_images_can_be_never_predicted():
    confusion = np.array([[3, 1, 0, 0], [2, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    assert never_predicted(confusion, ["a", "b", "rare", "absent"]) == {"rare": 1}


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        ({"rare": 1}, "rare (1 image)"),
        ({"a": 2000, "b": 3}, "a (2,000 images), b (3 images)"),
        (dict.fromkeys("abcdefg", 2), "a (2 images), b (2 images), c (2 images), d (2 images), e (2 images), 2 more"),
    ],
)
def test_warning_names_classes_that_are_never_predicted(classes, names):
    assert describe_never_predicted(classes, "test") == (
        f"Never predicted on the test images: {names}. If these classes are rare, train with "
        "training.class_weight=balanced or training.sampling=balanced."
    )


def test_no_warning_without_such_classes():
    assert describe_never_predicted({}, "test") == ""
