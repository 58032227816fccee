"""Audit section: accuracy on corrupted test images; with several labels per image, the mean average precision."""

from __future__ import annotations

import numpy as np

from tinysight._util.formatting import percent
from tinysight._util.progress import Progress
from tinysight.auditing.context import AuditContext
from tinysight.auditing.section import AuditSection
from tinysight.data.dataset import Split
from tinysight.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from tinysight.evaluation.robustness import measure_robustness
from tinysight.reporting.section import Cell, Row, Table
from tinysight.runs.audit_results import Robustness

_SECONDS_PER_PIXEL = 1.7e-7  # to corrupt an image, on average over all kinds, on one core


class CorruptionRobustness(AuditSection[Robustness]):
    """Accuracy under fifteen common corruptions at five severities."""

    name = "robustness"
    heading = "corruption robustness"
    order, cost = 10, 30
    result_type = Robustness

    def estimate_seconds(self, context: AuditContext, prediction_seconds: float) -> float:
        """Return the seconds to corrupt and predict each image in every way."""
        height, width = context.dataset.image_size
        n = context.n_probed * len(CORRUPTIONS) * len(SEVERITIES)
        return n * (_SECONDS_PER_PIXEL * height * width + prediction_seconds)

    def compute(self, context: AuditContext, progress: Progress) -> Robustness:
        """Return the accuracy on a random sample of the test images, each corrupted in every way."""
        test = context.dataset.test
        sample = np.random.default_rng(0).permutation(len(test))[: context.n_probed]
        return measure_robustness(
            context.classifier, Split(test.pixels[sample], test.labels[sample]), progress=progress
        )

    def summarize(self, result: Robustness) -> str:
        """Return the mean accuracy and the worst corruption."""
        means = result.mean_by_corruption
        worst = min(means, key=means.__getitem__)
        measure = "accuracy" if result.measure == "accuracy" else "mAP"
        return (
            f"mean {measure} {percent(result.mean)} corrupted vs {percent(result.clean_accuracy)} clean "
            f"(n = {result.n:,}); worst: {worst}, {percent(means[worst])}"
        )

    def rows(self, result: Robustness, limit: int) -> tuple[Table, ...]:
        """Return the accuracy by corruption and severity, the corruption with the lowest mean first."""
        means = result.mean_by_corruption
        names = sorted(means, key=means.__getitem__)
        rows = tuple(
            Row(
                (
                    Cell(name),
                    *(Cell(percent(value), shade=value) for value in result.accuracy[name]),
                    Cell(percent(means[name])),
                )
            )
            for name in names[:limit]
        )
        columns = ("corruption", *(f"severity {severity}" for severity in SEVERITIES), "mean")
        note = (
            f"{result.measure.capitalize()} on {result.n:,} test images; clean {result.measure} on the same images: "
            f"{percent(result.clean_accuracy)}."
        )
        return (Table(columns, rows, len(names), "corruptions", note),)
