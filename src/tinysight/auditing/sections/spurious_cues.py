"""Audit section: how well cues that do not depend on the subject predict the class."""

from __future__ import annotations

from tinysight._util.formatting import percent, percent_interval
from tinysight._util.progress import Progress
from tinysight.auditing.context import AuditContext
from tinysight.auditing.section import AuditSection
from tinysight.evaluation.spurious_cues import SpuriousCues, find_spurious_cues
from tinysight.reporting.section import Cell, Row, Table

_NONE = SpuriousCues(0, 0.0, ())


class SpuriousCuesSection(AuditSection[SpuriousCues]):
    """How well brightness, color, borders, background and file properties tell the class."""

    name = "spurious_cues"
    heading = "spurious cues"
    order, cost = 85, 18
    instead = "check each label alone, in a dataset of images with and without it"
    result_type = SpuriousCues

    def compute(self, context: AuditContext, progress: Progress) -> SpuriousCues:
        """Check the training split of the run's dataset."""
        return find_spurious_cues(context.dataset) or _NONE

    def summarize(self, result: SpuriousCues) -> str:
        """Return the cues that tell the class."""
        if not result.scores:
            return f"not checked, because fewer than 2 classes have enough independent images (n = {result.n})"
        found = ", ".join(f"{score.name} ({percent(score.balanced_accuracy)})" for score in result.found)
        chance = f"chance {percent(result.chance)}, n = {result.n:,} training images"
        return f"these alone tell the class: {found} ({chance})" if found else f"no cue tells the class ({chance})"

    def rows(self, result: SpuriousCues, limit: int) -> tuple[Table, ...]:
        """Return the score of each cue."""
        rows = tuple(
            Row(
                cells=(
                    Cell(score.name),
                    Cell(percent(score.balanced_accuracy), percent_interval(score.interval)),
                    Cell(f"{score.p_value:.2g}"),
                    Cell("from making the files" if score.is_artifact else "from the image"),
                ),
                highlight=score.is_found,
            )
            for score in result.scores
        )
        note = (
            f"Balanced accuracy of a linear classifier of each cue, with its 95% interval; by chance "
            f"{percent(result.chance)}. The p-values are corrected for the number of cues. A cue from making the files "
            "is hardly ever meant. A cue from the image can belong to the subject, such as the sky behind airplanes: "
            "decide whether the classifier may use it."
        )
        columns = ("cue alone", "balanced accuracy", "p-value", "origin")
        return (Table(columns, rows[:limit], len(rows), "cues", note),)
