"""Model cards, as Markdown and as JSON.

Contents: Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), and Gebru et al., "Datasheets for Datasets"
(Communications of the ACM 64, 2021). All metrics come from the run; the card marks what was not measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinysight.data.dataset import Provenance
from tinysight.data.labels import Task
from tinysight.models.classifier import Classifier
from tinysight.models.ood import describe_ood
from tinysight.models.pretrained import DOUBT
from tinysight.models.registry import FAMILIES
from tinysight.models.scores import describe_thresholds
from tinysight.recipes.schema import ModelSection
from tinysight.reporting.rendering import render
from tinysight.reporting.section import ReportSection, summaries
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.records import AnyMetrics, ClassScores, Environment, MultiLabelMetrics, Summary
from tinysight.runs.run import Run

WATTS_PER_CORE = 15.0  # per busy CPU core, with memory and conversion losses; 5 to 30 is typical

INTENDED_USE: dict[Task, str] = {
    "multi-class": "Classification of small color images into the classes of the model. Learning, teaching and "
    "comparing methods; sorting images where a person reviews the unsure predictions.",
    "multi-label": "Labeling of small color images with the labels of the model. Learning, teaching and comparing "
    "methods; searching and filtering images where a person reviews the results.",
}
OUT_OF_SCOPE = (
    "Not for recognizing, identifying, counting or surveilling people, and not for inferring their age, sex, origin, "
    "health, beliefs or mood. The model was neither designed nor tested for that.",
    "Not for decisions about people that they cannot contest, and not where a wrong prediction can cause harm, unless "
    "a person reviews every prediction.",
)
OTHER_IMAGES: dict[Task, str] = {
    "multi-class": "Not for images of other classes. There is no 'none of the above' class: out-of-distribution images "
    "still get one of the classes. Only some are marked as unsure or as unlike the training images.",
    "multi-label": "Not for images of another kind: out-of-distribution images may still get any of the labels. "
    "Only some are marked as unlike the training images.",
}
CONTESTING = (
    "People affected by a prediction can request the image, the prediction with its probability, an explanation "
    "(`tinysight explain`) and a review by a person.",
    "People who find an image of theirs in the training set can request its removal (`tinysight forget`).",
    "Contact: not stated. The publisher of this model should name an address here.",
)


@dataclass(frozen=True)
class CardMetric:
    """A metric: name, value, 95% interval if known, and whether the value is a share, 0..1."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    is_share: bool = True


@dataclass(frozen=True)
class Card:
    """The contents of a model card.

    Attributes:
        recipe, dataset: names of the recipe and the dataset.
        task: "multi-class", or "multi-label" if images may have several labels.
        classes: class names.
        image_size: height and width of the images in pixels.
        notes: notes at the top of the card.
        intended_use, out_of_scope, contesting: intended use, out-of-scope uses, and how to contest a prediction.
        provenance: provenance of the images.
        backbone: the pretrained weights that the training started from, as sentences; empty if there were none.
        evaluated_on: number of images and split of the metrics, such as "10,000 test images"; None if not evaluated.
        metrics: overall metrics; `recall` and `precision` hold those of each class, and `average_precision` those of
            labels that test images have.
        never_predicted: a warning about classes that are never predicted, or labels without images; "" if none.
        promise: what the threshold for unsure predictions promises; "" if it was not chosen for a target error. For
            several labels: how their thresholds were chosen.
        set_promise: what the prediction sets promise; "" if they were not calibrated.
        ood_promise: rate of false alarms of "unlike the training images", as sentences; "" if no image is marked.
        audit: a summary of each audit section by its heading.
        removed_images: number of images removed on request, such as "3 images"; "" if none.
        train_seconds, kilowatt_hours: training time and estimated energy.
        training_details: recipe, parameters, hardware, versions and dataset of the training, by name.
    """

    recipe: str
    dataset: str
    task: Task
    classes: tuple[str, ...]
    image_size: int
    notes: tuple[str, ...]
    intended_use: str
    out_of_scope: tuple[str, ...]
    contesting: tuple[str, ...]
    provenance: Provenance
    backbone: tuple[str, ...]
    evaluated_on: str | None
    metrics: tuple[CardMetric, ...]
    never_predicted: str
    promise: str
    set_promise: str
    ood_promise: str
    recall: dict[str, CardMetric]
    precision: dict[str, CardMetric]
    average_precision: dict[str, CardMetric]
    audit: dict[str, str]
    removed_images: str
    train_seconds: float
    kilowatt_hours: float
    training_details: dict[str, str]

    @classmethod
    def from_run(cls, run: Run, audit: Sequence[ReportSection] = ()) -> Card:
        """Return the card of a run.

        Args:
            run: a finished or interrupted run.
            audit: sections of the run's audit, from `tinysight.auditing.registry.report_sections`.

        Raises:
            RunError: a file of the run is missing or damaged.
        """
        summary, environment, classifier = run.summary(), run.environment(), run.classifier()
        metrics = load_metrics(run)
        forgetting = RunArtifacts(run).unlearning()
        return cls(
            recipe=summary.recipe,
            dataset=summary.dataset,
            task=classifier.task,
            classes=classifier.class_names,
            image_size=classifier.image_size,
            notes=summary.notes,
            intended_use=INTENDED_USE[classifier.task],
            out_of_scope=(*OUT_OF_SCOPE, OTHER_IMAGES[classifier.task]),
            contesting=CONTESTING,
            provenance=environment.dataset.provenance,
            backbone=describe_backbone(classifier.spec.model),
            evaluated_on=f"{metrics.n:,} {metrics.split} images" if metrics else None,
            metrics=_overall_metrics(metrics) if metrics else (),
            never_predicted=_missing_classes(metrics) if metrics else "",
            promise=describe_promise(classifier),
            set_promise=classifier.spec.set_promise.describe() if classifier.spec.set_promise else "",
            ood_promise=_describe_ood(classifier),
            recall=_by_class(metrics, "recall") if metrics else {},
            precision=_by_class(metrics, "precision") if metrics else {},
            average_precision=_average_precision(metrics) if isinstance(metrics, MultiLabelMetrics) else {},
            audit=summaries(audit),
            removed_images=f"{len(forgetting.forgotten):,} images" if forgetting else "",
            train_seconds=summary.train_seconds,
            kilowatt_hours=summary.train_seconds * environment.cores * WATTS_PER_CORE / 3.6e6,
            training_details=_training_details(summary, environment),
        )

    def to_markdown(self) -> str:
        """Return the card as Markdown with YAML front matter for model hubs."""
        return render("card.md", card=self, head=self._head(), watts=WATTS_PER_CORE)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as a JSON-serializable dict."""
        return asdict(self)

    def _head(self) -> str:
        """Return the YAML front matter; its values are JSON, which is valid YAML."""
        results = {
            "task": {"type": "image-classification"},
            "dataset": {"name": self.dataset, "type": self.dataset},
            "metrics": [
                {"type": metric.name.split()[0].strip(","), "name": metric.name, "value": round(metric.value, 6)}
                for metric in self.metrics
            ],
        }
        head = {
            "library_name": "tinysight",
            "pipeline_tag": "image-classification",
            "tags": ["image-classification", "tinysight"],
            "datasets": [self.dataset],
            "metrics": ["mean_average_precision" if self.task == "multi-label" else "accuracy"],
            "model-index": [{"name": f"{self.recipe} on {self.dataset}", "results": [results] if self.metrics else []}],
        }
        return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())


def load_metrics(run: Run) -> AnyMetrics | None:
    """Return metrics.json of a run, or None if the run was not evaluated."""
    return run.metrics() if run.is_evaluated else None


def describe_backbone(model: ModelSection) -> tuple[str, ...]:
    """Return where the pretrained weights of a network come from, and what they were trained on, as sentences."""
    if model.backbone is None:
        return ()
    if model.extractor is not None:
        return (
            f"The features come from the ONNX file {Path(model.backbone).name} (SHA-256 {model.extractor.sha256}), "
            "which is a part of the run. Its license and the images that it was trained on are not stated.",
        )
    family = FAMILIES.get(model.backbone)
    if family is None or family.pretrained is None:
        return (
            f"The training started from the weights of the run {Path(model.backbone).name}. See the card of that run.",
        )
    weights = family.pretrained
    return (
        f"The training started from the published weights of {family.name}, from {weights.source.describe()} "
        f"(license: {weights.license}).",
        f"These weights were trained on {weights.training_data}. {DOUBT}",
    )


def describe_promise(classifier: Classifier) -> str:
    """Return what the threshold for unsure predictions promises; "" if it was not chosen for a target error.

    For several labels per image: how the threshold of each label was chosen.
    """
    if classifier.task == "multi-label":
        return describe_thresholds(classifier.spec.n_calibration)
    promise = classifier.spec.promise
    return promise.describe(classifier.abstain_below) if promise else ""


def _describe_ood(classifier: Classifier) -> str:
    threshold = classifier.ood_threshold
    return "" if threshold is None else describe_ood(threshold, classifier.spec.n_calibration)


def _overall_metrics(metrics: AnyMetrics) -> tuple[CardMetric, ...]:
    unlike, own = metrics.unlike_training, _task_metrics(metrics)
    if unlike is None:
        return own
    return (*own, CardMetric("marked as unlike the training images", unlike.share, unlike.share_ci95))


def _task_metrics(metrics: AnyMetrics) -> tuple[CardMetric, ...]:
    if isinstance(metrics, MultiLabelMetrics):
        return _multi_label_metrics(metrics)
    intervals, selective, sets = metrics.intervals, metrics.selective, metrics.prediction_sets
    with_tta = metrics.accuracy_tta
    overall = [
        CardMetric("accuracy", metrics.accuracy, metrics.accuracy_ci95),
        with_tta and CardMetric("accuracy with test-time augmentation", with_tta, intervals.accuracy_tta),
        CardMetric("balanced accuracy", metrics.balanced_accuracy, intervals.balanced_accuracy),
        CardMetric("f1, macro average", metrics.macro.f1, intervals.macro.f1),
        CardMetric("loss, nats", metrics.loss, intervals.loss, is_share=False),
        CardMetric("calibration error, root mean square", metrics.calibration.rms_error, intervals.calibration_error),
        CardMetric("coverage (share of images not marked unsure)", selective.coverage, selective.coverage_ci95),
        # Without covered images there is no error.
        selective.coverage and CardMetric("error on these images", selective.error, selective.error_ci95),
        sets and CardMetric("coverage of prediction sets (true class in the set)", sets.coverage, sets.coverage_ci95),
        sets and CardMetric("size of prediction sets, mean number of classes", sets.mean_size, is_share=False),
    ]
    return tuple(metric for metric in overall if metric)


def _multi_label_metrics(metrics: MultiLabelMetrics) -> tuple[CardMetric, ...]:
    mean, with_tta = metrics.mean_average_precision, metrics.mean_average_precision_tta
    precisions = {
        "mean_average_precision (mAP)": (mean, metrics.mean_average_precision_ci95),
        "mean_average_precision with test-time augmentation": (with_tta, None),
    }
    return (
        *(CardMetric(name, value, interval) for name, (value, interval) in precisions.items() if value is not None),
        CardMetric("f1, micro average", metrics.micro.f1),
        CardMetric("f1, macro average", metrics.macro.f1, metrics.intervals.macro.f1),
        CardMetric("exact_match (all labels of an image correct)", metrics.exact_match, metrics.exact_match_ci95),
        CardMetric("hamming_accuracy (share of correct labels)", metrics.hamming_accuracy),
        CardMetric("loss, nats", metrics.loss, metrics.loss_ci95, is_share=False),
    )


def _missing_classes(metrics: AnyMetrics) -> str:
    return metrics.without_images if isinstance(metrics, MultiLabelMetrics) else metrics.never_predicted


def _by_class(metrics: AnyMetrics, key: str) -> dict[str, CardMetric]:
    scores: Mapping[str, ClassScores]
    if isinstance(metrics, MultiLabelMetrics):
        scores, intervals = metrics.per_label, metrics.intervals.per_label
    else:
        scores, intervals = metrics.per_class, metrics.intervals.per_class
    return {name: CardMetric(key, getattr(row, key), getattr(intervals[name], key)) for name, row in scores.items()}


def _average_precision(metrics: MultiLabelMetrics) -> dict[str, CardMetric]:
    precisions = {name: scores.average_precision for name, scores in metrics.per_label.items()}
    return {name: CardMetric("average precision", value) for name, value in precisions.items() if value is not None}


def _training_details(summary: Summary, environment: Environment) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    return {
        "recipe": f"{summary.recipe}, {summary.epochs_text}, seed {environment.seed}",
        "parameters": f"{summary.parameters:,}",
        "machine": f"{environment.processor}, {environment.cores} threads, {environment.precision}",
        "versions": versions,
        # Without the path: cards are published, and a path can hold a user name.
        "images": f"{environment.dataset.name}, fingerprint {environment.dataset.fingerprint}",
    }
