"""Results of audits, comparisons and unlearning, as dataclasses and records.

Intervals are 95 %, (low, high). A section of the audit that is None was not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinysight.runs.records import Record

Interval = tuple[float, float]


@dataclass(frozen=True)
class Robustness:
    """Accuracy on corrupted images.

    Attributes:
        n: number of images; each is corrupted in every way.
        clean_accuracy: accuracy on the uncorrupted images.
        accuracy: by corruption, at severities 1 to 5.
    """

    n: int
    clean: float
    accuracy: dict[str, tuple[float, ...]]

    @property
    def means(self) -> dict[str, float]:
        """Mean accuracy of each corruption over its severities."""
        return {name: sum(values) / len(values) for name, values in self.accuracy.items()}

    @property
    def mean(self) -> float:
        """Mean accuracy over all corruptions and severities."""
        return sum(self.means.values()) / len(self.accuracy)


@dataclass(frozen=True)
class Strangeness:
    """Out-of-distribution (OOD) detection with the energy score.

    Attributes:
        n: number of in-distribution images, and of OOD images of each kind.
        auroc: by kind of OOD image, the probability that it has a higher score than an in-distribution image.
            0.5 is chance.
    """

    n: int
    auroc: dict[str, float]


@dataclass(frozen=True)
class Pair:
    """A pair of near-duplicate images: their IDs, their distance (0 is identical), and whether one is mirrored."""

    first: str
    second: str
    difference: float
    mirrored: bool


@dataclass(frozen=True)
class Duplicates:
    """Near-duplicates within and across splits.

    Attributes:
        within_split: by split, the number of pairs within it.
        cross_split: number of test images with a near-duplicate among the training images.
        n_test: number of test images.
        accuracy: on all test images, with its interval.
        accuracy_deduplicated: on the test images without a near-duplicate, with its interval.
        pairs: a sample of the pairs, those across splits first, each part sorted by distance.
    """

    within: dict[str, int]
    across: int
    test: int
    accuracy: tuple[float, Interval]
    accuracy_without: tuple[float, Interval]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Suspect:
    """A likely label error: the image ID, its label, the suggested label, and the label quality, 0..1."""

    image: str
    label: str
    likelier: str
    quality: float


@dataclass(frozen=True)
class WrongLabels:
    """Likely label errors.

    Attributes:
        n_shadow_models: number of shadow models; only models that were not trained on an image judge its label.
        n: number of labels checked.
        n_by_split: by split, the number of likely label errors.
        issues: all likely label errors, sorted by quality.
    """

    shadows: int
    n: int
    found: dict[str, int]
    suspects: tuple[Suspect, ...]


@dataclass(frozen=True)
class Gap:
    """A metric of one subgroup, compared with all other images.

    Attributes:
        column, group: the attribute and its value that define the subgroup.
        metric: "accuracy", or the false negative rate ("fnr") or false positive rate ("fpr") of a class.
        class_name: the class of the metric, "" for accuracy.
        n: number of images that the metric is computed on.
        value, interval: the metric and its bootstrap interval.
        complement_value: the metric on all images outside the subgroup.
        p_value: p-value of the gap, with Holm's correction for the number of gaps.
        significant: whether the gap is significant.
    """

    column: str
    group: str
    figure: str
    class_name: str
    n: int
    share: float
    interval: Interval
    others: float
    p: float
    alarm: bool

    @property
    def gap(self) -> float:
        """The metric of the subgroup minus that of all other images."""
        return self.share - self.others


@dataclass(frozen=True)
class Found:
    """The true positive rate of an attack at a fixed false positive rate, with its interval."""

    false_alarms: float
    share: float
    interval: Interval


@dataclass(frozen=True)
class Attack:
    """Performance of one membership-inference attack.

    Attributes:
        auc: probability that a member scores higher than a non-member; 0.5 is chance.
        interval: of the AUC.
        tpr_at_fpr: the true positive rates at several false positive rates.
    """

    auc: float
    interval: Interval
    found: tuple[Found, ...]


@dataclass(frozen=True)
class Membership:
    """Membership inference: how well query access reveals the training images.

    Attributes:
        n_shadow_models: number of shadow models.
        n_members, n_non_members: numbers of training images and of other images that the attacks score.
        attacks: by name.
        most_exposed: IDs of the members with the highest scores of the best attack, sorted by score.
        summary: the result as text.
    """

    shadows: int
    members: int
    others: int
    attacks: dict[str, Attack]
    exposed: tuple[str, ...]
    words: str


class Audit(Record):
    """audit.json. `subgroups` are by image properties, `user_subgroups` by the columns of a CSV file."""

    weights_sha256: str
    robustness: Robustness | None = None
    strangers: Strangeness | None = None
    duplicates: Duplicates | None = None
    gaps: tuple[Gap, ...] | None = None
    groups: tuple[Gap, ...] | None = None
    labels: WrongLabels | None = None
    membership: Membership | None = None


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of two classifiers on the same images.

    Attributes:
        first, second: names of the classifiers.
        only_first, only_second: number of images that only this classifier predicts correctly.
        difference: accuracy of the first minus that of the second.
        interval: 95 % interval of the difference.
        p_value: p-value of the exact McNemar test.
        p_value_holm: p-value with Holm's correction for the number of pairs.
    """

    first: str
    second: str
    only_first: int
    only_second: int
    difference: float
    interval: Interval
    p: float
    p_corrected: float


@dataclass(frozen=True)
class Certainty:
    """Mean probability of the true class before and after unlearning, on unlearned and on unseen images."""

    forgotten_before: float
    forgotten_after: float
    unseen_before: float
    unseen_after: float


class Forgetting(Record):
    """unlearning.json: effects of retraining without some images.

    Attributes:
        forgotten: IDs of the images that were newly excluded.
        weights_sha256_before, weights_sha256_after: SHA-256 of the weights.
        images_sha256_before, images_sha256_after: SHA-256 of all training images and their labels.
        n_train_before, n_train_after: number of training images.
        n_test: number of test images.
        accuracy_before, accuracy_after: accuracy on the test images.
        difference: accuracy after minus accuracy before, with its interval.
        true_class_probability: mean probabilities of the true class, of unlearned and of unseen images.
    """

    forgotten: tuple[str, ...]
    weights_before: str
    weights_after: str
    images_before: str
    images_after: str
    learned_before: int
    learned_after: int
    test: int
    accuracy_before: float
    accuracy_after: float
    difference: tuple[float, Interval]
    certainty: Certainty
