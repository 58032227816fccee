"""Audit section: out-of-distribution detection."""

from __future__ import annotations

from tinysight._util.formatting import percent
from tinysight._util.progress import Progress
from tinysight.auditing.context import AuditContext
from tinysight.auditing.section import AuditSection
from tinysight.evaluation.ood import measure_ood_detection
from tinysight.reporting.section import Cell, Row, Table
from tinysight.runs.audit_results import OodDetection


class OutOfDistribution(AuditSection[OodDetection]):
    """How well the OOD score separates out-of-distribution images from test images."""

    name = "ood"
    heading = "out-of-distribution"
    order, cost = 20, 20
    result_type = OodDetection

    def compute(self, context: AuditContext, progress: Progress) -> OodDetection:
        """Return the AUROC for several kinds of out-of-distribution images."""
        pixels = context.dataset.test.pixels[: context.n_probed]
        return measure_ood_detection(context.classifier, pixels, context.dataset.name)

    def summarize(self, result: OodDetection) -> str:
        """Return the AUROC of each kind."""
        aurocs = ", ".join(f"{name} {auroc:.2f}" for name, auroc in result.auroc.items())
        return f"AUROC of detection: {aurocs} (n = {result.n:,} per kind; 0.50 is chance)"

    def rows(self, result: OodDetection, limit: int) -> tuple[Table, ...]:
        """Return the AUROC of each kind, the lowest first, and the share that is marked."""
        kinds = sorted(result.auroc.items(), key=lambda item: item[1])
        rows = tuple(
            Row(
                (
                    Cell(kind),
                    Cell(f"{auroc:.3f}", shade=auroc),
                    *([Cell(percent(result.marked[kind]))] if result.marked else []),
                )
            )
            for kind, auroc in kinds[:limit]
        )
        columns = ("images", "AUROC", *(["marked as unlike the training images"] if result.marked else []))
        note = (
            f"{result.n:,} test images and as many out-of-distribution images of each kind. AUROC: probability that an "
            f"out-of-distribution image has the higher {'OOD' if result.marked else 'energy'} score; 0.5 is chance."
        )
        return (Table(columns, rows, len(kinds), "kinds of images", note),)
