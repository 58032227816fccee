"""Intervals of metrics that hold for few images: Wilson scores and their combinations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from tinysight.models.scores import LabelMatrix, average_precisions
from tinysight.runs.records import Interval, LabelIntervals, MetricIntervals, ScoreIntervals

METHOD = (
    "95%: Wilson score for shares and F1 by class; averages over classes combine these (MOVER); Student's t with one "
    "pseudo-image for the loss; normal approximation for the calibration error"
)

LABEL_METHOD = (
    "95%: Wilson score for shares and F1 by label; averages over labels assume that all scores err in the same "
    "direction; Student's t with one pseudo-image for the loss; none for average precision, micro averages and Hamming "
    "accuracy"
)

N_BOOTSTRAP = 200  # samples that the correlations of average precisions are estimated from

Statistics = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores with their lower and upper bounds, each float64 (k,), 0..1."""

    values: Statistics
    low: Statistics
    high: Statistics

    def interval(self, row: int) -> Interval:
        """Return the bounds of one score."""
        return float(self.low[row]), float(self.high[row])


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Return the Wilson score interval of a proportion.

    Unlike the normal approximation, it stays within 0..1 and has a positive width at 0 and 100%
    (Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927).

    Args:
        successes: number of successes, 0..trials.
        trials: number of trials. Without any, the interval is 0 to 1.
        confidence: confidence level, between 0 and 1.

    Returns:
        The lower and the upper bound, each 0..1.
    """
    if not trials:
        return 0.0, 1.0
    from scipy.stats import binomtest  # here, since it takes longer than the rest of a short command

    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    # Rounding errors could move the proportion outside its interval.
    return min(successes / trials, float(interval.low)), max(successes / trials, float(interval.high))


def metric_intervals(
    predictions: NDArray[np.integer[Any]],
    labels: NDArray[np.integer[Any]],
    nats: NDArray[np.floating[Any]],
    class_names: tuple[str, ...],
    calibration_error: Interval,
) -> MetricIntervals:
    """Return intervals of the metrics that `compute_metrics` computes. None has a width of 0.

    Precision and recall are shares, with Wilson intervals. F1 is 2 s / (1 + s), where s is the share of correct
    predictions among the images that have the class or are predicted as it, so its interval follows from that of s.
    Averages over classes combine the intervals of the classes as `average_interval` does.

    Args:
        predictions: (n,), the predicted classes.
        labels: (n,), the true classes.
        nats: (n,), the loss of each image.
        class_names: in the order of the labels.
        calibration_error: the interval of the calibration error.
    """
    classes = len(class_names)
    confusion = np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)
    correct, support, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    precision, recall, f1 = _shares(correct, predicted), _shares(correct, support), _f1(confusion)
    f1_correlations = _f1_correlations(confusion)

    def average(weights: Statistics) -> ScoreIntervals:
        return ScoreIntervals(
            precision=average_interval(precision, weights),
            recall=average_interval(recall, weights),
            f1=average_interval(f1, weights, f1_correlations),
        )

    accuracy = wilson_interval(int(correct.sum()), len(labels))
    return MetricIntervals(
        method=METHOD,
        accuracy_tta=None,
        balanced_accuracy=balanced_interval(correct, support),
        loss=mean_loss_interval(nats, classes),
        calibration_error=calibration_error,
        macro=average(np.full(classes, 1 / classes)),
        weighted=average(support / support.sum()).model_copy(update={"recall": accuracy}),  # they are the same
        per_class=_intervals_by_name(class_names, precision, recall, f1),
    )


def label_intervals(
    predictions: NDArray[np.bool_], labels: NDArray[np.int64], class_names: Sequence[str]
) -> LabelIntervals:
    """Return intervals of the scores of labels, of images that may have several.

    They are computed as by `metric_intervals`. The scores of two labels are on the same images and depend on each other
    in an unknown way, so the averages assume the largest correlation, which gives the widest intervals.

    Args:
        predictions: (n, labels), whether the image gets the label.
        labels: (n, labels), 1 where the image has the label.
        class_names: in the order of the labels.
    """
    has_label, k = labels.astype(bool), len(class_names)
    correct, support, predicted = (predictions & has_label).sum(0), has_label.sum(0), predictions.sum(0)
    precision, recall = _shares(correct, predicted), _shares(correct, support)
    f1 = _f1_of_shares(_shares(correct, predicted + support - correct))
    weights, correlations = np.full(k, 1 / k), np.ones((k, k))
    return LabelIntervals(
        method=LABEL_METHOD,
        macro=ScoreIntervals(
            precision=average_interval(precision, weights, correlations),
            recall=average_interval(recall, weights, correlations),
            f1=average_interval(f1, weights, correlations),
        ),
        per_label=_intervals_by_name(class_names, precision, recall, f1),
    )


def _intervals_by_name(
    class_names: Sequence[str], precision: Scores, recall: Scores, f1: Scores
) -> dict[str, ScoreIntervals]:
    return {
        name: ScoreIntervals(precision=precision.interval(row), recall=recall.interval(row), f1=f1.interval(row))
        for row, name in enumerate(class_names)
    }


def mean_average_precision_interval(labels: LabelMatrix, scores: NDArray[np.floating[Any]]) -> Interval:
    """Return the interval of the mean average precision (mAP) of the labels that images have.

    The average precision of a label gets the Wilson interval of a share of the images with the label; it is a binomial
    interval as in Boyd, Eng and Page, "Area under the precision-recall curve: point estimates and confidence intervals"
    (ECML PKDD 2013). `average_interval` combines the labels, with correlations from bootstrap samples of the images.
    Percentile bootstraps of the mean have no width if all labels are ranked perfectly, and cover less
    (docs/adr/0112-more-with-several-labels.md).

    Args:
        labels: (n, labels), 1 where the image has the label, at least one in total.
        scores: (n, labels), higher where the label is more probable.
    """
    support = labels.sum(0)
    has_images = support > 0
    labels, scores, support = labels[:, has_images], scores[:, has_images], support[has_images]
    values = average_precisions(labels, scores)
    bounds = [_wilson_bounds(float(value), int(n)) for value, n in zip(values, support, strict=True)]
    low, high = np.array(bounds).T
    correlations = _correlations(_resampled_average_precisions(labels, scores))
    return average_interval(Scores(values, low, high), np.full(len(values), 1 / len(values)), correlations)


def _wilson_bounds(share: float, n: int) -> Interval:
    """Return the 95% Wilson bounds of a share that need not be a multiple of 1 / n, of n trials, at least one."""
    z2 = float(ndtri(0.975)) ** 2
    center, margin = share + z2 / (2 * n), math.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n)
    return (center - margin) / (1 + z2 / n), (center + margin) / (1 + z2 / n)


def _resampled_average_precisions(labels: LabelMatrix, scores: NDArray[np.floating[Any]]) -> Statistics:
    """Return the average precision of each label in bootstrap samples of the images, (labels, samples)."""
    n = len(labels)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), N_BOOTSTRAP)  # (samples, n)
    rows = []
    for has_label, column in zip(labels.T, scores.T, strict=True):
        order = np.argsort(-column, kind="stable")
        drawn, relevant = weights[:, order], weights[:, order] * has_label[order]
        precision = np.cumsum(relevant, axis=1) / np.maximum(np.cumsum(drawn, axis=1), 1)
        rows.append((relevant * precision).sum(1) / np.maximum(relevant.sum(1), 1))
    return np.array(rows)


def _correlations(samples: Statistics) -> Statistics:
    """Return the correlations of rows (k, samples); 1 with a constant row, whose correlations are unknown."""
    deviations = samples - samples.mean(1, keepdims=True)
    scales = np.sqrt((deviations**2).sum(1))
    products = np.outer(scales, scales)
    correlations = np.where(products > 0, deviations @ deviations.T / np.where(products > 0, products, 1), 1.0)
    np.fill_diagonal(correlations, 1.0)
    return np.asarray(correlations, dtype=np.float64)


def average_interval(scores: Scores, weights: Statistics, correlations: Statistics | None = None) -> Interval:
    """Return the interval of a weighted average of scores.

    The distances to the bounds are combined like standard deviations (method of variance estimates recovery): Zou,
    Huang and Zhang, "A note on confidence interval estimation for a linear function of binomial proportions"
    (Computational Statistics & Data Analysis 53, 2009).

    Args:
        scores: k scores with their bounds.
        weights: (k,), weights that sum to 1.
        correlations: (k, k), correlations between the scores; by default they are independent.
    """
    if correlations is None:
        correlations = np.eye(len(weights))
    mean = float(weights @ scores.values)
    below, above = weights * (scores.values - scores.low), weights * (scores.high - scores.values)
    return (
        max(0.0, mean - math.sqrt(max(0.0, float(below @ correlations @ below)))),
        min(1.0, mean + math.sqrt(max(0.0, float(above @ correlations @ above)))),
    )


def balanced_interval(correct: NDArray[np.int64], support: NDArray[np.int64]) -> Interval:
    """Return the interval of the mean recall of the classes that have images: `average_interval` of their recalls.

    Args:
        correct: (classes,), number of images of each class that are predicted correctly.
        support: (classes,), number of images of each class.
    """
    return average_interval(_shares(correct, support), (support > 0) / np.count_nonzero(support))


def mean_loss_interval(nats: NDArray[np.floating[Any]], classes: int) -> Interval:
    """Return the interval of a mean loss by Student's t.

    One pseudo-image with the loss of a uniform prediction is added, so that a few images with equal losses do not give
    full certainty, and a single image gives an interval.

    Args:
        nats: (n,), the loss of each image.
        classes: number of classes.
    """
    values, mean = np.append(nats, math.log(classes)), float(nats.mean())
    n = len(values)
    margin = float(stdtrit(n - 1, 0.975) * values.std(ddof=1)) / math.sqrt(n)
    return max(0.0, min(mean, float(values.mean()) - margin)), max(mean, float(values.mean()) + margin)


def _shares(successes: NDArray[np.int64], trials: NDArray[np.int64]) -> Scores:
    """Return shares with Wilson intervals; without trials, the share is 0 and the interval 0 to 1."""
    bounds = [wilson_interval(int(s), int(n)) for s, n in zip(successes, trials, strict=True)]
    low, high = np.array(bounds).T
    return Scores(successes / np.maximum(trials, 1), low, high)


def _f1(confusion: NDArray[np.int64]) -> Scores:
    correct = np.diag(confusion)
    return _f1_of_shares(_shares(correct, confusion.sum(0) + confusion.sum(1) - correct))


def _f1_of_shares(shares: Scores) -> Scores:
    """Return F1 scores from the shares of correct predictions among the images that have or get the class."""
    return Scores(*(2 * share / (1 + share) for share in (shares.values, shares.low, shares.high)))


def _f1_correlations(confusion: NDArray[np.int64]) -> Statistics:
    """Return the correlations of the F1 scores of the classes, (classes, classes), by the delta method.

    They are positive, because a mistake lowers the scores of two classes: Takahashi et al., "Confidence interval for
    micro-averaged F1 and macro-averaged F1 scores" (Applied Intelligence 52, 2022).
    """
    smoothed = confusion + 1 / len(confusion)  # so that scores of 0 and 1 have a correlation
    correct, sizes = np.diag(smoothed), smoothed.sum(0) + smoothed.sum(1)
    f1 = 2 * correct / sizes
    slopes = f1 / sizes  # by how much one more mistake lowers the score
    covariance = (smoothed + smoothed.T) * np.outer(slopes, slopes)
    variance = correct * ((2 - 2 * f1) / sizes) ** 2 + (sizes - 2 * correct) * slopes**2
    np.fill_diagonal(covariance, variance)
    deviations = np.sqrt(variance)
    return np.asarray(covariance / np.outer(deviations, deviations), dtype=np.float64)
