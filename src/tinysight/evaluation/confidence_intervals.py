"""Wilson score intervals of proportions and bootstrap intervals of other metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from tinysight.evaluation.calibration import bin_indices, bin_sums, negative_log_likelihood
from tinysight.runs.records import Interval, MetricIntervals, ScoreIntervals

N_RESAMPLES = 1000
METHOD = "95%: Wilson score for accuracies, percentile bootstrap over images (1,000 resamples) for all others"

Statistics = NDArray[np.float64]


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Return the Wilson score interval of a proportion.

    Unlike the normal approximation, it stays within 0..1 and has a positive width at 0 and 100%
    (Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927).

    Args:
        successes: number of successes, 0..trials.
        trials: number of trials, at least 1.
        confidence: confidence level, between 0 and 1.

    Returns:
        The lower and the upper bound, each 0..1.
    """
    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    # Rounding errors could move the proportion outside its interval.
    return min(successes / trials, float(interval.low)), max(successes / trials, float(interval.high))


def bootstrap(
    statistics: Callable[[NDArray[np.int64]], Statistics], n: int, seed: int = 0, resamples: int = N_RESAMPLES
) -> tuple[Statistics, Statistics]:
    """Return the lower and upper bounds, (k,) each, of 95% percentile intervals of k statistics.

    The method is that of Efron, "Bootstrap Methods: Another Look at the Jackknife" (The Annals of Statistics 7, 1979).

    Args:
        statistics: computes the statistics, (k,), from the number of times each image is drawn, int64 (n,).
            NaN marks an undefined statistic and is ignored.
        n: number of images.
        seed: seed of the resampling.
        resamples: number of resamples.
    """
    random = np.random.default_rng(seed)
    samples = [statistics(np.bincount(random.integers(0, n, n), minlength=n)) for _ in range(resamples)]
    low, high = np.nanpercentile(np.stack(samples), [2.5, 97.5], axis=0)
    return low, high


def bootstrap_intervals(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], class_names: tuple[str, ...]
) -> MetricIntervals:
    """Return bootstrap intervals of the metrics that `compute_metrics` computes.

    Args:
        probabilities: (n, classes).
        labels: (n,), the true classes.
        class_names: in the order of the labels.
    """
    classes = len(class_names)
    low, high = bootstrap(_statistics(probabilities.astype(np.float64), labels), len(labels))
    loss, ece, *scores = [(float(lower), float(upper)) for lower, upper in zip(low, high, strict=True)]
    # The rows are the classes, then the macro and the weighted average.
    rows = classes + 2
    by_row = [
        ScoreIntervals(precision=scores[row], recall=scores[rows + row], f1=scores[2 * rows + row])
        for row in range(rows)
    ]
    return MetricIntervals(
        method=METHOD,
        accuracy_tta=None,
        loss=loss,
        ece=ece,
        macro=by_row[classes],
        weighted=by_row[classes + 1],
        per_class=dict(zip(class_names, by_row[:classes], strict=True)),
    )


def _statistics(
    probabilities: NDArray[np.float64], labels: NDArray[np.integer[Any]]
) -> Callable[[NDArray[np.int64]], Statistics]:
    """Return a function from image counts, (n,), to the loss, the ECE, and precision, recall and F1 of all rows."""
    classes = probabilities.shape[1]
    predictions, confidences = probabilities.argmax(1), probabilities.max(1)
    nats = negative_log_likelihood(probabilities, labels)
    cells, bins = labels * classes + predictions, bin_indices(confidences)
    residuals = (predictions == labels) - confidences

    def statistics(counts: NDArray[np.int64]) -> Statistics:
        confusion = np.bincount(cells, counts, classes**2).reshape(classes, classes).astype(np.float64)
        n = counts.sum()
        loss, ece = (counts * nats).sum() / n, np.abs(bin_sums(residuals * counts, bins)).sum() / n
        return np.concatenate([[loss, ece], *_class_scores(confusion)])

    return statistics


def _class_scores(confusion: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return precision, recall and F1, each (classes + 2,): by class, macro average, weighted average."""
    correct, support, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore"):  # a class without predictions or images scores 0, as in `compute_metrics`
        by_class = [np.nan_to_num(correct / predicted), np.nan_to_num(correct / support)]
        by_class.append(2 * correct / (support + predicted))
    return tuple(
        np.concatenate([values, [values.mean(), np.average(values, weights=support)]])
        for values in map(np.nan_to_num, by_class)
    )
