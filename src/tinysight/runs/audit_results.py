"""Results of audits, comparisons and unlearning, as dataclasses and records.

Intervals are 95% confidence intervals, (low, high).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from tinysight._util.errors import RunError
from tinysight.data.labels import Measure, Task
from tinysight.runs.records import Interval, Record

ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True)
class Robustness:
    """Accuracy on corrupted images.

    Attributes:
        n: number of images; each is corrupted in every way.
        clean_accuracy: accuracy on the uncorrupted images.
        accuracy: by corruption, at severities 1 to 5.
        measure: what these are; mean average precision (mAP) if images may have several labels.
    """

    n: int
    clean_accuracy: float
    accuracy: dict[str, tuple[float, ...]]
    measure: Measure = "accuracy"

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
    """Out-of-distribution (OOD) detection with the score by which `predict` marks images.

    Attributes:
        n: number of in-distribution images, and of OOD images of each kind.
        auroc: by kind of OOD image, the probability that it has a higher score than an in-distribution image.
            0.5 is chance.
        marked: by kind of OOD image, the fraction that is marked as unlike the training images; empty if the classifier
            has no OOD detector. The AUROC is then that of the energy score.
    """

    n: int
    auroc: dict[str, float]
    marked: dict[str, float] = field(default_factory=dict)


class SectionSchema(Protocol[ResultT_co]):
    """The name of an audit section in audit.json, and the type of its result."""

    @property
    def name(self) -> str:
        """Key of the section."""

    @property
    def result_type(self) -> type[ResultT_co]:
        """Type of the result."""


class Audit(Record):
    """audit.json: the results of the audit sections that were computed, as JSON, by the name of the section."""

    weights_sha256: str
    sections: dict[str, JsonValue] = Field(default_factory=dict)

    def result(self, section: SectionSchema[ResultT]) -> ResultT | None:
        """Return the result of a section, or None if it was not computed.

        Raises:
            RunError: the result does not match the type of the section.
        """
        if section.name not in self.sections:
            return None
        try:
            return TypeAdapter(section.result_type).validate_json(json.dumps(self.sections[section.name]))
        except ValidationError as error:
            raise RunError(
                f"audit.json: section {section.name!r} was not written by this version of tinysight. Remove the file "
                "and audit again."
            ) from error

    def with_result(self, section: SectionSchema[ResultT], result: ResultT) -> Audit:
        """Return a copy with the result of a section."""
        value = TypeAdapter(section.result_type).dump_python(result, mode="json")
        return Audit(weights_sha256=self.weights_sha256, sections={**self.sections, section.name: value})


@dataclass(frozen=True)
class PairedComparison:
    """A paired comparison of two classifiers on the same images.

    An image that may have several labels is predicted correctly if all of its labels are.

    Attributes:
        first, second: names of the classifiers.
        only_first, only_second: number of images that only this classifier predicts correctly.
        difference: accuracy of the first minus that of the second.
        interval: 95% confidence interval of the difference.
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
    """Mean probability of the true class before and after unlearning, on unlearned and on unseen images.

    With several labels per image, the mean is over the labels of the images.
    """

    forgotten_before: float
    forgotten_after: float
    unseen_before: float
    unseen_after: float


class UnlearningReport(Record):
    """unlearning.json: effects of retraining without some images.

    Attributes:
        task: "multi-label" if images may have several labels.
        forgotten: IDs of the images that were newly excluded.
        weights_sha256_before, weights_sha256_after: SHA-256 of the weights.
        images_sha256_before, images_sha256_after: SHA-256 of all training images and their labels.
        n_train_before, n_train_after: number of training images.
        n_test: number of test images.
        accuracy_before, accuracy_after: accuracy on the test images; with several labels per image, the share of
            images whose labels are all correct.
        difference: accuracy after minus accuracy before, with its interval.
        true_class_probability: mean probabilities of the true class, of unlearned and of unseen images; None if the
            unlearned images have none of the labels.
    """

    task: Task = "multi-class"
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
    true_class_probability: TrueClassProbability | None
