"""Metrics of several labels per image, compared with scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as reference

from tinysight._util.errors import TinysightError
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.evaluation.multi_label import compute_multi_label_metrics, label_report

NAMES = ("boat", "cat", "dog", "sun")
THRESHOLDS = (0.5, 0.3, 0.7, 0.45)


@pytest.fixture
def outcome():
    """Return random labels of 80 images, some with none, and probabilities that agree with most of them."""
    random = np.random.default_rng(0)
    labels = (random.random((80, 4)) < (0.5, 0.3, 0.2, 0.1)).astype(np.int64)
    labels[:5] = 0
    probabilities = np.clip(0.3 * labels + random.random((80, 4)) * 0.65, 0.01, 0.99).astype(np.float32)
    return probabilities.round(1), labels  # rounded, so that there are ties


@pytest.fixture
def result(outcome):
    return compute_multi_label_metrics(*outcome, NAMES, "test", THRESHOLDS, temperature=1.5, n_calibration=30)


def test_scores_are_those_of_scikit_learn(outcome, result):
    probabilities, labels = outcome
    predicted = probabilities >= np.array(THRESHOLDS)
    precisions = reference.average_precision_score(labels, probabilities, average=None)
    assert result.mean_average_precision == pytest.approx(precisions.mean())
    columns = reference.precision_recall_fscore_support(labels, predicted)
    for index, (name, scores) in enumerate(result.per_label.items()):
        assert name == NAMES[index]
        assert scores.average_precision == pytest.approx(precisions[index])
        assert (scores.precision, scores.recall, scores.f1) == pytest.approx([column[index] for column in columns[:3]])
        assert (scores.support, scores.n_predicted) == (labels[:, index].sum(), predicted[:, index].sum())
        assert scores.threshold == THRESHOLDS[index]
    for kind in ("micro", "macro"):
        average = getattr(result, kind)
        assert average.f1 == pytest.approx(reference.f1_score(labels, predicted, average=kind))
        assert average.precision == pytest.approx(reference.precision_score(labels, predicted, average=kind))
        assert average.recall == pytest.approx(reference.recall_score(labels, predicted, average=kind))
    low, high = result.mean_average_precision_ci95
    assert max(0, precisions.mean() - 0.15) < low < precisions.mean() < high < 1
    assert result.exact_match == pytest.approx(reference.accuracy_score(labels, predicted))
    assert result.hamming_accuracy == pytest.approx(1 - reference.hamming_loss(labels, predicted))
    losses = [reference.log_loss(labels[:, k], probabilities[:, k].astype(float), labels=[0, 1]) for k in range(4)]
    assert result.loss == pytest.approx(sum(losses))
    assert (result.n, result.n_unlabeled) == (80, (labels.sum(1) == 0).sum())


def test_shares_have_wilson_intervals_and_averages_wide_ones(outcome, result):
    probabilities, labels = outcome
    exact = ((probabilities >= np.array(THRESHOLDS)) == labels).all(1)
    assert result.exact_match_ci95 == wilson_interval(int(exact.sum()), 80)
    by_label = result.intervals.per_label
    for name, scores in result.per_label.items():
        correct = round(scores.recall * scores.support)
        assert by_label[name].recall == pytest.approx(wilson_interval(correct, scores.support))
        assert by_label[name].precision == pytest.approx(wilson_interval(correct, scores.n_predicted))
        low, high = by_label[name].f1
        assert low < scores.f1 < high
    for key in ("precision", "recall", "f1"):
        bounds = np.array([getattr(row, key) for row in by_label.values()])
        assert getattr(result.intervals.macro, key) == pytest.approx(tuple(bounds.mean(0)))
    assert result.loss_ci95[0] < result.loss < result.loss_ci95[1]


def test_labels_without_images_are_not_in_the_mean_average_precision(outcome):
    probabilities, labels = outcome
    labels[:, 3] = 0
    result = compute_multi_label_metrics(probabilities, labels, NAMES, "test", THRESHOLDS)
    expected = reference.average_precision_score(labels[:, :3], probabilities[:, :3], average="macro")
    assert result.mean_average_precision == pytest.approx(expected)
    assert result.per_label["sun"].average_precision is None
    assert "No test image has the label sun" in result.without_images
    labels[:] = 0
    result = compute_multi_label_metrics(probabilities, labels, NAMES, "test", THRESHOLDS)
    assert result.mean_average_precision is None
    assert result.mean_average_precision_ci95 is None
    assert "macro avg" in label_report(result)


def test_certain_mistakes_have_a_finite_loss():
    probabilities = np.array([[0, 1], [1, 0]], dtype=np.float32)
    result = compute_multi_label_metrics(probabilities, np.array([[1, 0], [1, 0]]), ("a", "b"), "test", (0.5, 0.5))
    assert 80 < result.loss < 90


def test_tta_is_reported_beside_the_plain_result(outcome):
    probabilities, labels = outcome
    result = compute_multi_label_metrics(
        probabilities, labels, NAMES, "test", THRESHOLDS, probabilities_tta=labels.astype(np.float32)
    )
    assert result.mean_average_precision_tta == 1.0 > result.mean_average_precision


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, y: (p[:0], y[:0]), "has no images"),
        (lambda p, y: (p[:, :3], y), "do not match"),
        (lambda p, y: (p, y[:, 0]), "do not match"),
        (lambda p, y: (p * np.nan, y), "NaN or infinity"),
    ],
)
def test_wrong_arrays_are_an_error(outcome, change, message):
    with pytest.raises(TinysightError, match=message):
        compute_multi_label_metrics(*change(*outcome), NAMES, "test", THRESHOLDS)
