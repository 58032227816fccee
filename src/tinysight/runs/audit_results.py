"""Results of audits, comparisons and unlearning, as dataclasses and records.

Intervals are 95 %, (low, high). A section of the audit that is None was not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinysight.runs.records import Interval, Record


@dataclass(frozen=True)
class Robustness:
    """Accuracy on corrupted images.

    Attributes:
        n: number of images; each is corrupted in every way.
        clean_accuracy: accuracy on the uncorrupted images.
        accuracy: by corruption, at severities 1 to 5.
    """

    n: int
    clean_accuracy: float
    accuracy: dict[str, tuple[float, ...]]

    @property
    def mean_by_corruption(self) -> dict[str, float]:
        """Mean accuracy of each corruption over its severities."""
        return {name: sum(values) / len(values) for name, values in self.accuracy.items()}

    @property
    def mean(self) -> float:
        """Mean accuracy over all corruptions and severities."""
        return sum(self.mean_by_corruption.values()) / len(self.accuracy)


@dataclass(frozen=True)
class OodDetection:
    """Out-of-distribution (OOD) detection with the energy score.

    Attributes:
        n: number of in-distribution images, and of OOD images of each kind.
        auroc: by kind of OOD image, the probability that it has a higher score than an in-distribution image.
            0.5 is chance.
    """

    n: int
    auroc: dict[str, float]


@dataclass(frozen=True)
class DuplicatePair:
    """A pair of near-duplicate images: their IDs, their distance (0 is identical), and whether one is mirrored."""

    first: str
    second: str
    distance: float
    mirrored: bool


@dataclass(frozen=True)
class DuplicateStatistics:
    """Near-duplicates within and across splits.

    Attributes:
        within_split: by split, the number of pairs within it.
        cross_split: number of test images with a near-duplicate among the training images.
        n_test: number of test images.
        accuracy: on all test images, with its interval.
        accuracy_deduplicated: on the test images without a near-duplicate, with its interval.
        pairs: a sample of the pairs, those across splits first, each part sorted by distance.
    """

    within_split: dict[str, int]
    cross_split: int
    n_test: int
    accuracy: tuple[float, Interval]
    accuracy_deduplicated: tuple[float, Interval]
    pairs: tuple[DuplicatePair, ...]


@dataclass(frozen=True)
class LabelIssue:
    """A likely label error: the image ID, its label, the suggested label, and the label quality, 0..1."""

    image: str
    label: str
    suggested: str
    quality: float


@dataclass(frozen=True)
class LabelIssues:
    """Likely label errors.

    Attributes:
        n_shadow_models: number of shadow models; only models that were not trained on an image judge its label.
        n: number of labels checked.
        n_by_split: by split, the number of likely label errors.
        issues: all likely label errors, sorted by quality.
    """

    n_shadow_models: int
    n: int
    n_by_split: dict[str, int]
    issues: tuple[LabelIssue, ...]


@dataclass(frozen=True)
class SubgroupGap:
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
    metric: str
    class_name: str
    n: int
    value: float
    interval: Interval
    complement_value: float
    p_value: float
    significant: bool

    @property
    def difference(self) -> float:
        """The metric of the subgroup minus that of all other images."""
        return self.value - self.complement_value


@dataclass(frozen=True)
class TprAtFpr:
    """The true positive rate of an attack at a fixed false positive rate, with its interval."""

    fpr: float
    tpr: float
    interval: Interval


@dataclass(frozen=True)
class MembershipAttack:
    """Performance of one membership-inference attack.

    Attributes:
        auc: probability that a member scores higher than a non-member; 0.5 is chance.
        interval: of the AUC.
        tpr_at_fpr: the true positive rates at several false positive rates.
    """

    auc: float
    interval: Interval
    tpr_at_fpr: tuple[TprAtFpr, ...]


@dataclass(frozen=True)
class MembershipInference:
    """Membership inference: how well query access reveals the training images.

    Attributes:
        n_shadow_models: number of shadow models.
        n_members, n_non_members: numbers of training images and of other images that the attacks score.
        attacks: by name.
        most_exposed: IDs of the members with the highest scores of the best attack, sorted by score.
        summary: the result as text.
    """

    n_shadow_models: int
    n_members: int
    n_non_members: int
    attacks: dict[str, MembershipAttack]
    most_exposed: tuple[str, ...]
    summary: str


class Audit(Record):
    """audit.json. `subgroups` are by image properties, `user_subgroups` by the columns of a CSV file."""

    weights_sha256: str
    robustness: Robustness | None = None
    ood: OodDetection | None = None
    near_duplicates: DuplicateStatistics | None = None
    subgroups: tuple[SubgroupGap, ...] | None = None
    user_subgroups: tuple[SubgroupGap, ...] | None = None
    label_issues: LabelIssues | None = None
    membership: MembershipInference | None = None


@dataclass(frozen=True)
class PairedComparison:
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
    p_value: float
    p_value_holm: float


@dataclass(frozen=True)
class TrueClassProbability:
    """Mean probability of the true class before and after unlearning, on unlearned and on unseen images."""

    forgotten_before: float
    forgotten_after: float
    unseen_before: float
    unseen_after: float


class UnlearningReport(Record):
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
    weights_sha256_before: str
    weights_sha256_after: str
    images_sha256_before: str
    images_sha256_after: str
    n_train_before: int
    n_train_after: int
    n_test: int
    accuracy_before: float
    accuracy_after: float
    difference: tuple[float, Interval]
    true_class_probability: TrueClassProbability
