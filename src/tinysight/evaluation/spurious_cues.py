"""Spurious cues: how well a cue predicts the class without looking at the subject.

A linear classifier of each cue is cross-validated. If it is better than chance, a network can learn the cue, too, and
then fails on images without it (Geirhos et al., "Shortcut learning in deep neural networks", Nature Machine
Intelligence 2, 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight._util.formatting import percent, percent_interval
from tinysight.data.cues import Cue, Features, measure_cues
from tinysight.data.dataset import Dataset, Labels
from tinysight.data.labels import count_labels
from tinysight.data.splits import stratified_folds
from tinysight.evaluation.confidence_intervals import balanced_interval
from tinysight.evaluation.significance import holm_correction
from tinysight.runs.records import Interval

MAX_IMAGES = 1000  # training images, drawn at random
N_FOLDS = 5  # a class with fewer images is left out
MIN_GAIN = 0.1  # above chance, as a fraction of what is possible; smaller ones are no findings
ALPHA = 0.05  # probability of a false finding, for all cues together
_PERMUTATIONS = 400
_RIDGE = 0.1  # strength of the penalty, relative to the variance of the standardized features


@dataclass(frozen=True)
class CueScore:
    """How well one cue tells the class.

    Attributes:
        name: the cue.
        is_artifact: whether it comes from how the files were made, so that it is hardly ever meant.
        balanced_accuracy: cross-validated, 0..1.
        interval: its 95% interval.
        p_value: probability of such a score by chance, by a permutation test, corrected for the number of cues.
        is_found: whether the score is better than chance, and not only a little.
    """

    name: str
    is_artifact: bool
    balanced_accuracy: float
    interval: Interval
    p_value: float
    is_found: bool

    def describe(self, chance: float) -> str:
        """Return the score as a sentence without a period."""
        advice = "which is hardly ever meant" if self.is_artifact else "check whether that is meant"
        return (
            f"{self.name} alone tells the class of {percent(self.balanced_accuracy)} of the images (95% interval "
            f"{percent_interval(self.interval)}; by chance {percent(chance)}); {advice}"
        )


@dataclass(frozen=True)
class SpuriousCues:
    """How well the cues tell the class, highest score first.

    Attributes:
        n: number of images.
        chance: balanced accuracy of a guess, 0..1.
        scores: one for each cue.
    """

    n: int
    chance: float
    scores: tuple[CueScore, ...]

    @property
    def found(self) -> tuple[CueScore, ...]:
        """The cues that tell the class."""
        return tuple(score for score in self.scores if score.is_found)


def find_spurious_cues(dataset: Dataset, seed: int = 0) -> SpuriousCues | None:
    """Return how well each cue tells the class of the training images.

    Intervals and p-values treat images as independent. With groups, whose images stay in one fold, they are too narrow.

    Args:
        dataset: a dataset with one class per image; only its training split is used.
        seed: seed of the sample and of the folds.

    Returns:
        The scores; None if images have several labels, or fewer than two classes have `N_FOLDS` images.
    """
    train = dataset.train
    if dataset.task == "multi-label":
        return None
    counts = np.array(count_labels(train.labels, len(dataset.class_names)))
    random = np.random.default_rng(seed)
    usable = np.flatnonzero(np.isin(train.labels, np.flatnonzero(counts >= N_FOLDS)))
    rows = np.sort(random.permutation(usable)[:MAX_IMAGES])
    _, labels = np.unique(train.labels[rows], return_inverse=True)
    if len(rows) == 0 or labels.max() < 1:
        return None
    groups = [train.groups[row] for row in rows] if train.groups else range(len(rows))
    folds = [fold for fold in stratified_folds(labels, groups, N_FOLDS, seed) if len(fold)]
    if len(folds) < 2:  # all images are of one group
        return None
    cues = [cue for cue in measure_cues(train, rows, dataset.folder) if (cue.features != cue.features[0]).any()]
    permuted = np.array([labels, *(random.permutation(labels) for _ in range(_PERMUTATIONS))])
    predictions = [_cross_predict(cue.features, permuted, folds) for cue in cues]
    p_values = holm_correction([_p_value(predicted, permuted) for predicted in predictions])
    chance = 1 / (labels.max() + 1)
    scores = [
        _score(cue, predicted[0], labels, p_value, chance)
        for cue, predicted, p_value in zip(cues, predictions, p_values, strict=True)
    ]
    return SpuriousCues(len(rows), float(chance), tuple(sorted(scores, key=lambda score: -score.balanced_accuracy)))


def _cross_predict(features: Features, labels: Labels, folds: list[NDArray[np.int64]]) -> Labels:
    """Return the class of each image by ridge regression on the other folds, for several labelings of the images.

    Predictions of ridge regression are linear in the targets, so all labelings together take little longer than one.
    The targets are indicators of the classes divided by their frequency, so that each class counts equally.

    Args:
        features: (n, k).
        labels: int64, (labelings, n).
        folds: indices of the images of each fold.

    Returns:
        Predicted labels, int64, (labelings, n).
    """
    targets = (np.eye(labels.max() + 1) / np.bincount(labels[0]))[labels]  # (labelings, n, classes)
    predicted = np.zeros_like(labels)
    for fold in folds:
        rest = np.setdiff1d(np.arange(labels.shape[1]), fold)
        mean, scale = features[rest].mean(0), features[rest].std(0)
        scaled = (features - mean) / np.where(scale > 0, scale, 1)
        gram = scaled[rest].T @ scaled[rest] + _RIDGE * len(rest) * np.eye(scaled.shape[1])
        weights = scaled[fold] @ np.linalg.solve(gram, scaled[rest].T)  # (images of the fold, others)
        predicted[:, fold] = (weights @ targets[:, rest]).argmax(2)
    return predicted


def _score(cue: Cue, predicted: Labels, labels: Labels, p_value: float, chance: float) -> CueScore:
    support = np.bincount(labels)
    correct = np.bincount(labels[predicted == labels], minlength=len(support))
    accuracy = float((correct / support).mean())
    gain, interval = (accuracy - chance) / (1 - chance), balanced_interval(correct, support)
    return CueScore(
        name=cue.name,
        is_artifact=cue.is_artifact,
        balanced_accuracy=accuracy,
        interval=interval,
        p_value=p_value,
        is_found=bool(p_value < ALPHA and gain >= MIN_GAIN and interval[0] > chance),
    )


def _p_value(predicted: Labels, labels: Labels) -> float:
    """Return the share of the labelings whose balanced accuracy is at least that of the first, the true one."""
    weights = 1 / np.bincount(labels[0])
    scores = ((predicted == labels) * weights[labels]).sum(1)
    return float((scores >= scores[0] - 1e-9).mean())
