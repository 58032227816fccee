"""The model card: what a reader must know before using a classifier, for people and for programs.

After Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), and Gebru et al., "Datasheets for Datasets"
(Communications of the ACM 64, 2021). Every figure comes from the run; of what was not measured it says so.
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

WATTS = 15.0  # that a busy core takes, with memory and losses; between 5 and 30 is usual

PURPOSE = (
    "Telling which of its classes a small colour picture shows. Learning, teaching and comparing methods; sorting "
    "pictures where a person checks what it is unsure of."
)
MISUSE = (
    "Not for recognising, identifying, counting or watching people, and not for telling their age, sex, origin, "
    "health, belief or mood: it was neither made nor checked for that.",
    "Not for decisions about people that they cannot contest, nor where a wrong answer hurts somebody, unless a person "
    "looks at every answer.",
    "Not for pictures of anything but its classes: it names one of them whatever it is shown, or says that it is "
    "unsure.",
)
CONTEST = (
    "Whoever is affected by an answer can ask for the picture, the answer with its probability and an explanation "
    "(`tinysight explain`), and for a person to look at it.",
    "Whoever finds a picture of theirs among the training images can ask for it to be forgotten (`tinysight forget`).",
    "Whom to ask: not stated. Whoever publishes this model should name an address here.",
)


@dataclass(frozen=True)
class Figure:
    """A figure: what it is, the number, its 95 % interval if it has one, and whether it is a share, 0..1."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    is_share: bool = True


@dataclass(frozen=True)
class Card:
    """What a card says.

    Attributes:
        recipe, dataset: that the model was made by and from.
        classes: that it tells apart.
        image_size: height and width of the pictures, pixels.
        remarks: what must be known before anything else.
        purpose, misuse, contest: what it is for, what it is not for, and how to object to what it says.
        origin: of the images.
        measured_on: how many images of which split the figures are of; None if nobody evaluated it.
        figures: of the whole; `recall` and `precision` of each class.
        audit: by heading, what an audit found or that it was not measured.
        forgotten: what was left out on somebody's request, in words; "" if nothing.
        seconds, kilowatt_hours: of training; the energy is an estimate.
        made: with what, on what and when, by name.
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
        """Return the card of a run. Raises RunError if a file of it is missing or damaged."""
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
        """Return the card as Markdown, under a head of metadata that model hubs read."""
        return render("card.md", card=self, head=self._head(), watts=WATTS)

    def document(self) -> dict[str, Any]:
        """Return the same for programs."""
        return asdict(self)

    def _head(self) -> str:
        """Return the metadata as YAML, of which JSON is a part."""
        results = {
            "task": {"type": "image-classification"},
            "dataset": {"name": self.dataset, "type": self.dataset},
            "metrics": [
                {"type": one.name.split()[0].strip(","), "name": one.name, "value": round(one.value, 6)}
                for one in self.figures
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
    """Return what `evaluate` found of the weights that are kept, or None if nobody evaluated them."""
    return run.metrics() if (run.path / "metrics.json").exists() else None


def _figures(metrics: Mapping[str, Any]) -> tuple[Figure, ...]:
    spread, unsure = metrics["intervals"], metrics["unsure"]
    averaged = metrics["accuracy_tta"]
    figures = [
        Figure("accuracy", metrics["accuracy"], tuple(metrics["accuracy_ci95"])),
        Figure("accuracy with test-time augmentation", averaged, tuple(spread["accuracy_tta"])) if averaged else None,
        Figure("f1, mean of the classes", metrics["macro"]["f1"], tuple(spread["macro"]["f1"])),
        Figure("loss, nats", metrics["loss"], tuple(spread["loss"]), is_share=False),
        Figure("calibration error", metrics["calibration"]["ece"], tuple(spread["ece"])),
        Figure("coverage, where it is not unsure", unsure["coverage"]),
        Figure("error of the answers it gives then", unsure["error"]),
    ]
    return tuple(figure for figure in figures if figure)


def _by_class(metrics: Mapping[str, Any], share: str) -> dict[str, Figure]:
    spread = metrics["intervals"]["per_class"]
    return {
        name: Figure(share, scores[share], tuple(spread[name][share])) for name, scores in metrics["per_class"].items()
    }


def _made(summary: Summary, environment: Environment) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    return {
        "recipe": f"{summary.recipe}, {summary.length}, seed {environment.seed}",
        "parameters": f"{summary.parameters:,}",
        "machine": f"{environment.processor}, {environment.cores} threads, {environment.precision}",
        "versions": versions,
        # Not where they lie: a card is handed on, and whoever reads it need not know the folders of who made it.
        "images": f"{environment.dataset.name}, fingerprint {environment.dataset.fingerprint}",
    }
