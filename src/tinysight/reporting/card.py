"""Model cards, as Markdown and as JSON.

Contents: Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), and Gebru et al., "Datasheets for Datasets"
(Communications of the ACM 64, 2021). All metrics come from the run; the card marks what was not measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tinysight.reporting.origins import Origin, origin_of
from tinysight.reporting.rendering import render
from tinysight.reporting.telling import told
from tinysight.runs.evidence import Evidence
from tinysight.runs.records import Environment, Summary
from tinysight.runs.run import Run

WATTS = 15.0  # per busy CPU core, with memory and conversion losses; 5 to 30 is typical

PURPOSE = (
    "Classification of small color images into the classes of the model. Learning, teaching and comparing methods; "
    "sorting images where a person reviews the unsure predictions."
)
MISUSE = (
    "Not for recognizing, identifying, counting or surveilling people, and not for inferring their age, sex, origin, "
    "health, beliefs or mood. The model was neither designed nor tested for that.",
    "Not for decisions about people that they cannot contest, and not where a wrong prediction can cause harm, unless "
    "a person reviews every prediction.",
    "Not for images of other classes. There is no 'none of the above' class: out-of-distribution images still get one "
    "of the classes or are marked unsure.",
)
CONTEST = (
    "People affected by a prediction can request the image, the prediction with its probability, an explanation "
    "(`tinysight explain`) and a review by a person.",
    "People who find an image of theirs in the training set can request its removal (`tinysight forget`).",
    "Contact: not stated. The publisher of this model should name an address here.",
)


@dataclass(frozen=True)
class Figure:
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
        classes: class names.
        image_size: height and width of the images in pixels.
        remarks: notes at the top of the card.
        purpose, misuse, contest: intended use, out-of-scope uses, and how to contest a prediction.
        origin: provenance of the images.
        measured_on: number of images and split of the metrics, such as "10,000 test images"; None if not evaluated.
        figures: overall metrics; `recall` and `precision` hold those of each class.
        audit: a summary of each audit section by its heading.
        forgotten: number of images removed on request, such as "3 images"; "" if none.
        seconds, kilowatt_hours: training time and estimated energy.
        made: recipe, parameters, hardware, versions and dataset of the training, by name.
    """

    recipe: str
    dataset: str
    classes: tuple[str, ...]
    image_size: int
    remarks: tuple[str, ...]
    purpose: str
    misuse: tuple[str, ...]
    contest: tuple[str, ...]
    origin: Origin
    measured_on: str | None
    figures: tuple[Figure, ...]
    recall: dict[str, Figure]
    precision: dict[str, Figure]
    audit: dict[str, str]
    forgotten: str
    seconds: float
    kilowatt_hours: float
    made: dict[str, str]

    @classmethod
    def of(cls, run: Run) -> Card:
        """Return the card of a run. Raises RunError if one of its files is missing or damaged."""
        summary, environment, classifier, metrics = run.summary(), run.environment(), run.classifier(), measured(run)
        forgetting = Evidence(run).forgetting()
        return cls(
            recipe=summary.recipe,
            dataset=summary.dataset,
            classes=classifier.class_names,
            image_size=classifier.image_size,
            remarks=summary.remarks,
            purpose=PURPOSE,
            misuse=MISUSE,
            contest=CONTEST,
            origin=origin_of(environment.dataset.name),
            measured_on=f"{metrics['n']:,} {metrics['split']} images" if metrics else None,
            figures=_figures(metrics) if metrics else (),
            recall=_by_class(metrics, "recall") if metrics else {},
            precision=_by_class(metrics, "precision") if metrics else {},
            audit=told(Evidence(run).audit()),
            forgotten=f"{len(forgetting.forgotten):,} images" if forgetting else "",
            seconds=summary.train_seconds,
            kilowatt_hours=summary.train_seconds * environment.cores * WATTS / 3.6e6,
            made=_made(summary, environment),
        )

    def markdown(self) -> str:
        """Return the card as Markdown with YAML front matter for model hubs."""
        return render("card.md", card=self, head=self._head(), watts=WATTS)

    def document(self) -> dict[str, Any]:
        """Return the card as a JSON-serializable dict."""
        return asdict(self)

    def _head(self) -> str:
        """Return the YAML front matter; its values are JSON, which is valid YAML."""
        results = {
            "task": {"type": "image-classification"},
            "dataset": {"name": self.dataset, "type": self.dataset},
            "metrics": [
                {"type": metric.name.split()[0].strip(","), "name": metric.name, "value": round(metric.value, 6)}
                for metric in self.figures
            ],
        }
        head = {
            "library_name": "tinysight",
            "pipeline_tag": "image-classification",
            "tags": ["image-classification", "tinysight"],
            "datasets": [self.dataset],
            "metrics": ["accuracy"],
            "model-index": [{"name": f"{self.recipe} on {self.dataset}", "results": [results] if self.figures else []}],
        }
        return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())


def measured(run: Run) -> Mapping[str, Any] | None:
    """Return metrics.json of a run, or None if the run was not evaluated."""
    return run.metrics() if (run.path / "metrics.json").exists() else None


def _figures(metrics: Mapping[str, Any]) -> tuple[Figure, ...]:
    intervals, selective = metrics["intervals"], metrics["unsure"]
    with_tta = metrics["accuracy_tta"]
    figures = [
        Figure("accuracy", metrics["accuracy"], tuple(metrics["accuracy_ci95"])),
        with_tta and Figure("accuracy with test-time augmentation", with_tta, tuple(intervals["accuracy_tta"])),
        Figure("f1, macro average", metrics["macro"]["f1"], tuple(intervals["macro"]["f1"])),
        Figure("loss, nats", metrics["loss"], tuple(intervals["loss"]), is_share=False),
        Figure("calibration error (ECE)", metrics["calibration"]["ece"], tuple(intervals["ece"])),
        Figure("coverage (share of images not marked unsure)", selective["coverage"]),
        Figure("error on these images", selective["error"]),
    ]
    return tuple(metric for metric in figures if metric)


def _by_class(metrics: Mapping[str, Any], key: str) -> dict[str, Figure]:
    intervals = metrics["intervals"]["per_class"]
    return {
        name: Figure(key, scores[key], tuple(intervals[name][key])) for name, scores in metrics["per_class"].items()
    }


def _made(summary: Summary, environment: Environment) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    return {
        "recipe": f"{summary.recipe}, {summary.length}, seed {environment.seed}",
        "parameters": f"{summary.parameters:,}",
        "machine": f"{environment.processor}, {environment.cores} threads, {environment.precision}",
        "versions": versions,
        # Without the path: cards are published, and a path can hold a user name.
        "images": f"{environment.dataset.name}, fingerprint {environment.dataset.fingerprint}",
    }
