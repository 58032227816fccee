"""Schemas of the JSON files of a run, and strict readers for them."""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinysight._util.errors import RunError
from tinysight._util.files import write_text
from tinysight.data.dataset import LabelType, Provenance
from tinysight.data.labels import Measure, Task, measure_of
from tinysight.models.classifier import ClassifierSpec
from tinysight.models.scores import describe_never_predicted, never_predicted

RUN_FORMAT: Final = 4
MAX_RECORD_BYTES = 50_000_000  # bytes; far above any record, since predictions are not stored in JSON

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Interval = tuple[Finite, Finite]
SplitName = Literal["test", "validation"]
EvaluatedSplit = Literal["test", "validation", "new"]
"""What `evaluate` takes: "new" are the images of a dataset that the run has not seen, which are then its test split."""
RunStatus = Literal["running", "finished", "interrupted", "failed"]


class FrozenModel(BaseModel):
    """An immutable part of a record; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Record(FrozenModel):
    """One JSON file of a run."""

    format: Literal[4] = RUN_FORMAT


class MajorityBaseline(FrozenModel):
    """Scores of always predicting the largest class of a split.

    Attributes:
        name: the class with the most images.
        accuracy: its fraction of the images, 0..1.
        balanced_accuracy: mean recall of the classes with images, 0..1.
    """

    name: str
    accuracy: Finite
    balanced_accuracy: Finite

    @classmethod
    def from_support(cls, support: Sequence[int], class_names: Sequence[str]) -> MajorityBaseline:
        """Return the baseline of a split with `support` images of each class, at least one in total."""
        largest = int(np.argmax(support))
        return cls(
            name=class_names[largest],
            accuracy=support[largest] / sum(support),
            balanced_accuracy=1 / np.count_nonzero(support),
        )


class DatasetRecord(FrozenModel):
    """The dataset of a run: its source and fingerprint, needed to load the same images again."""

    name: str
    argument: str = Field(description="name of a built-in dataset, or an absolute path")
    data_dir: str | None = Field(description="absolute path of the CIFAR-10 folder, if one was given")
    fingerprint: str
    source: str
    provenance: Provenance
    is_official: bool | None
    notes: tuple[str, ...]
    label_type: LabelType = "str"

    def parse_labels(self, class_names: Sequence[str]) -> NDArray[Any]:
        """Return the labels that the class names stand for, (classes,), of the type that was trained on."""
        parse: dict[LabelType, Callable[[str], object]] = {"int": int, "float": float, "bool": "True".__eq__}
        return np.array([parse.get(self.label_type, str)(name) for name in class_names])


class Summary(Record):
    """summary.json: the status and the totals of a run."""

    status: RunStatus
    recipe: str
    dataset: str
    task: Task = "multi-class"
    notes: tuple[str, ...] = ()
    epochs: int = 0
    parameters: int = 0
    val_accuracy: Finite | None = None
    val_balanced_accuracy: Finite | None = None
    val_mean_average_precision: Finite | None = None
    train_images: int = Field(0, ge=0, description="images trained on, without those for validation")
    val_images: int = Field(0, ge=0, description="validation images, on which val_accuracy was measured")
    val_majority: MajorityBaseline | None = Field(None, description="baseline of val_accuracy")
    train_seconds: Finite = 0.0
    total_seconds: Finite = 0.0
    error: str | None = None
    history_sha256: str = ""

    @property
    def measure(self) -> Measure:
        """The main measure of the task: "accuracy", or "mean average precision" for several labels per image."""
        return measure_of(self.task)

    @property
    def val_score(self) -> float | None:
        """The main measure on the validation images, 0..1, or None if it was not measured."""
        return self.val_mean_average_precision if self.task == "multi-label" else self.val_accuracy

    @property
    def epochs_text(self) -> str:
        """The number of epochs as text, such as "3 epochs"."""
        return "1 epoch" if self.epochs == 1 else f"{self.epochs:,} epochs"


class Environment(Record):
    """environment.json: the hardware, software, seed and dataset of a run."""

    versions: dict[str, str]
    processor: str
    cpu_features: tuple[str, ...]
    system: str
    threads: int
    workers: int = Field(1, ge=1, description="data-parallel processes, each with `threads` threads")
    device: str
    precision: Literal["fp32", "bf16"]
    seed: int
    git_commit: str | None
    dataset: DatasetRecord
    changes: tuple[str, ...] = Field((), description="differences found when resuming")

    @property
    def cores(self) -> int:
        """Total threads over all workers."""
        return self.threads * self.workers


class ModelRecord(ClassifierSpec, Record):
    """model.json: the classifier without its tensors, and the checksums of its weights and of its OOD detector."""

    weights_sha256: str
    ood_sha256: str | None = None

    @property
    def spec(self) -> ClassifierSpec:
        """The classifier without its weights."""
        return ClassifierSpec(**{name: value for name, value in self if name in ClassifierSpec.model_fields})


class EpochRecord(FrozenModel):
    """One line of history.jsonl: the metrics of an epoch.

    With several labels per image, `accuracy` and `val_accuracy` are Hamming accuracies: the share of correct labels at
    a probability of 0.5. `val_mean_average_precision` is None for one class per image.
    """

    epoch: int
    seconds: Finite
    images_per_second: Finite
    loss: Finite
    accuracy: Finite
    val_loss: Finite
    val_accuracy: Finite
    lr: Finite
    val_balanced_accuracy: Finite | None = None
    val_macro_f1: Finite | None = None
    val_mean_average_precision: Finite | None = None

    @property
    def val_score(self) -> float:
        """The main measure on the validation images: the mean average precision, or the accuracy without one."""
        return self.val_accuracy if self.val_mean_average_precision is None else self.val_mean_average_precision


class ClassScores(FrozenModel):
    """Precision, recall and F1, each 0..1, and the number of images (support)."""

    precision: Finite
    recall: Finite
    f1: Finite
    support: int


class ReliabilityBin(FrozenModel):
    """A bin of a reliability diagram: its number of images, mean confidence, and accuracy with its 95% interval."""

    n: int
    confidence: Finite
    accuracy: Finite
    accuracy_ci95: Interval


class CalibrationMetrics(FrozenModel):
    """Calibration of the confidences.

    Attributes:
        ece: expected calibration error, 0..1, as in the literature; of few images, it is too large.
        rms_error: root-mean-square calibration error, 0..1, without this bias.
        temperature: softmax temperature of the probabilities.
        bins: the reliability bins that are not empty.
    """

    ece: Finite
    rms_error: Finite
    temperature: Positive
    bins: tuple[ReliabilityBin, ...]


class SelectiveMetrics(FrozenModel):
    """Selective prediction: the classifier abstains below a confidence of `threshold`.

    `coverage` is the fraction of images with a prediction, `error` the error rate on them. `aurc` is the area under the
    risk-coverage curve, and `curve` contains pairs of coverage and error, from the highest threshold to the lowest.
    The threshold keeps the error below `target_error` in 95% of draws of `n_calibration` validation images; None if it
    was not chosen for a target error.
    """

    threshold: Finite
    coverage: Finite
    coverage_ci95: Interval
    error: Finite
    error_ci95: Interval
    target_error: Finite | None = None
    n_calibration: int | None = None
    aurc: Finite
    curve: tuple[tuple[Finite, Finite], ...]


class SetCoverage(FrozenModel):
    """Fraction of images whose prediction set contains their true class, and its 95% interval."""

    coverage: Finite
    coverage_ci95: Interval


class SetMetrics(SetCoverage):
    """Prediction sets: the classes with a probability of at least `threshold`, and the most probable one.

    Attributes:
        coverage, coverage_ci95: coverage of all images.
        target_coverage: the coverage that the threshold was calibrated for.
        threshold: the probability from which a class is in the set.
        n_calibration: number of validation images that it was calibrated on; None if unknown.
        mean_size: mean number of classes in a set.
        sizes: number of images with sets of 1, 2, ... classes.
        per_class: coverage of the images of each class; that of a class without images is 0.
    """

    target_coverage: Finite
    threshold: Finite
    n_calibration: int | None
    mean_size: Finite
    sizes: tuple[int, ...]
    per_class: dict[str, SetCoverage]


class OodMetrics(FrozenModel):
    """Images that are marked as unlike the training images; on images like these, all are false alarms.

    Attributes:
        share, share_ci95: fraction of the images, and its 95% interval.
        threshold: the OOD score above which an image is marked.
        n_calibration: number of validation images that it was chosen on; None if unknown.
    """

    share: Finite
    share_ci95: Interval
    threshold: Finite
    n_calibration: int | None


class ScoreIntervals(FrozenModel):
    """Intervals of precision, recall and F1."""

    precision: Interval
    recall: Interval
    f1: Interval


class MetricIntervals(FrozenModel):
    """95% intervals of the metrics, (low, high); `accuracy_tta` is None if it was not computed."""

    method: str
    accuracy_tta: Interval | None
    balanced_accuracy: Interval
    loss: Interval
    calibration_error: Interval = Field(description="of calibration.rms_error")
    macro: ScoreIntervals
    weighted: ScoreIntervals
    per_class: dict[str, ScoreIntervals]


class Metrics(Record):
    """metrics.json: metrics of a classifier on one split.

    Attributes:
        split: the evaluated split.
        n: number of images.
        accuracy, accuracy_ci95: accuracy without test-time augmentation (TTA), 0..1, and its 95% interval.
        balanced_accuracy: mean recall of the classes that have images, 0..1.
        loss: mean negative log-likelihood, nats per image.
        accuracy_tta: accuracy with TTA, or None if it was not computed.
        per_class: scores by class name.
        macro, weighted: averages of the scores over the classes, unweighted and weighted by support.
        confusion_matrix: number of images by true class (row) and predicted class (column).
        calibration, selective, intervals: see their classes.
        prediction_sets: see its class; None if the classifier has no calibrated sets.
        unlike_training: see its class; None if the classifier has no OOD detector.
        recipe, dataset: names of the recipe and the dataset; None for a classifier without a run.
        notes: caveats of the dataset.
        weights_sha256: checksum of the evaluated weights; None for a classifier without a run.
    """

    split: SplitName
    n: int = Field(ge=1)
    accuracy: Finite
    accuracy_ci95: Interval
    balanced_accuracy: Finite
    loss: Finite
    accuracy_tta: Finite | None
    per_class: dict[str, ClassScores]
    macro: ClassScores
    weighted: ClassScores
    confusion_matrix: tuple[tuple[int, ...], ...]
    calibration: CalibrationMetrics
    selective: SelectiveMetrics
    prediction_sets: SetMetrics | None = None
    unlike_training: OodMetrics | None = None
    intervals: MetricIntervals
    recipe: str | None = None
    dataset: str | None = None
    notes: tuple[str, ...] = ()
    weights_sha256: str | None = None

    @property
    def majority(self) -> MajorityBaseline:
        """The accuracy of always predicting the class with the most images."""
        support = [scores.support for scores in self.per_class.values()]
        return MajorityBaseline.from_support(support, list(self.per_class))

    @property
    def never_predicted(self) -> str:
        """A warning about classes that have images but are never predicted; "" if there are none."""
        classes = never_predicted(np.array(self.confusion_matrix), list(self.per_class))
        return describe_never_predicted(classes, self.split)


class LabelScores(ClassScores):
    """Scores of one label, of images that may have several.

    Attributes:
        precision, recall, f1: at the threshold, each 0..1.
        support: number of images with the label.
        average_precision: average precision (AP), 0..1; None if no image has the label.
        n_predicted: number of images that get the label.
        threshold: the probability from which an image gets it.
    """

    average_precision: Finite | None
    n_predicted: int
    threshold: Finite


class LabelIntervals(FrozenModel):
    """95% intervals of the scores of labels, (low, high)."""

    method: str
    macro: ScoreIntervals
    per_label: dict[str, ScoreIntervals]


class MultiLabelMetrics(Record):
    """metrics.json of a classifier of several labels per image: its metrics on one split.

    Attributes:
        task: "multi-label".
        split: the evaluated split.
        n: number of images.
        n_unlabeled: how many of them have none of the labels.
        mean_average_precision, mean_average_precision_ci95: mean of the average precision of the labels that images
            have (mAP), 0..1, with its 95% interval; None if there are none.
        mean_average_precision_tta: the same with test-time augmentation (TTA), or None if it was not computed.
        exact_match, exact_match_ci95: share of the images whose labels are all correct, with its 95% interval.
        hamming_accuracy: share of correct labels, over all images and labels.
        loss, loss_ci95: mean negative log-likelihood, nats per image: the sum over its labels; with its 95% interval.
        per_label: scores by name of the label.
        micro, macro: scores over all images and labels together, and means of the scores of the labels.
        intervals: see its class.
        temperature: temperature of the probabilities.
        n_calibration: number of validation images that the thresholds were chosen on.
        unlike_training: see its class; None if the classifier has no OOD detector.
        recipe, dataset: names of the recipe and the dataset; None for a classifier without a run.
        notes: caveats of the dataset.
        weights_sha256: checksum of the evaluated weights; None for a classifier without a run.
    """

    task: Literal["multi-label"] = "multi-label"
    split: SplitName
    n: int = Field(ge=1)
    n_unlabeled: int = Field(ge=0)
    mean_average_precision: Finite | None
    mean_average_precision_ci95: Interval | None
    mean_average_precision_tta: Finite | None
    exact_match: Finite
    exact_match_ci95: Interval
    hamming_accuracy: Finite
    loss: Finite
    loss_ci95: Interval
    per_label: dict[str, LabelScores]
    micro: ClassScores
    macro: ClassScores
    intervals: LabelIntervals
    temperature: Positive
    n_calibration: int = Field(ge=0)
    unlike_training: OodMetrics | None = None
    recipe: str | None = None
    dataset: str | None = None
    notes: tuple[str, ...] = ()
    weights_sha256: str | None = None

    @property
    def without_images(self) -> str:
        """A note about labels that no image has, so that they have no average precision; "" if there are none."""
        names = [name for name, scores in self.per_label.items() if not scores.support]
        if not names:
            return ""
        return f"No {self.split} image has the label {', '.join(names)}: not in the mAP, 0 in the macro averages."


AnyMetrics = Metrics | MultiLabelMetrics

RecordT = TypeVar("RecordT", bound=Record)


def read_record(kind: type[RecordT], path: Path) -> RecordT:
    """Return the record in `path`.

    Raises:
        RunError: the file is missing, not JSON, was modified, or does not match the schema and the format.
    """
    values = read_checked(path)
    try:
        return kind.model_validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RunError(f"{path}: not written by this version of tinysight ({field}: {first['msg']}).") from error


def write_record(record: Record, path: Path) -> None:
    """Write the record and its checksum to `path`."""
    write_checked(record.model_dump(mode="json"), path)


def read_checked(path: Path) -> dict[str, Any]:
    """Return the values that `write_checked` wrote.

    Raises:
        RunError: the file is missing, was modified, or has a different format.
    """
    values = _read_json(path)
    checksum = values.pop("sha256", None)
    check_format(values.get("format"), path)
    if checksum != _checksum(values):
        raise RunError(f"{path}: modified after it was written. Restore it from a copy or train again.")
    return values


def write_checked(values: dict[str, Any], path: Path) -> None:
    """Write `values`, which include a format number, and their checksum to `path` as JSON."""
    text = json.dumps({**values, "sha256": _checksum(values)}, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def check_format(file_format: object, path: Path) -> None:
    """Raise RunError if the format number `file_format` in a file is not the one that this version writes."""
    if file_format != RUN_FORMAT:
        raise RunError(
            f"{path}: has format {reprlib.repr(file_format)}. This version of tinysight reads format {RUN_FORMAT}. "
            "Use the version that wrote it, or train again."
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            raise RunError(f"{path}: larger than {MAX_RECORD_BYTES:,} bytes. It was not written by tinysight.")
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path}: missing. {path.parent} is not a complete run directory.") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged ({error}). Restore it from a copy or train again.") from error
    if not isinstance(values, dict):
        raise RunError(f"{path}: not a JSON object. Restore it from a copy or train again.")
    return values


def read_checked_text(path: Path) -> str:
    """Return the text that `write_checked_text` wrote.

    Raises:
        RunError: the file is missing, was modified, or has a different format.
    """
    try:
        header, _, text = path.read_bytes().decode().partition("\n")
    except FileNotFoundError as error:
        raise RunError(f"{path}: missing. {path.parent} is not a complete run directory.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read. Restore it from a copy or train again.") from error
    file_format = re.match(r"# format (\d{1,9}),", header)
    if file_format:
        check_format(int(file_format[1]), path)
    if header != _checksum_line(text):
        raise RunError(f"{path}: modified after it was written. Restore it from a copy or train again.")
    return text


def write_checked_text(text: str, path: Path) -> None:
    """Write TOML `text` to `path` below a comment line with its checksum."""
    write_text(path, f"{_checksum_line(text)}\n{text}")


def _checksum_line(text: str) -> str:
    return f"# format {RUN_FORMAT}, sha256 of the lines below: {sha256_hex(text)}"


def _checksum(values: dict[str, Any]) -> str:
    return sha256_hex(json.dumps(values, sort_keys=True))


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of `text`, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
