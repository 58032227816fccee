"""Audit section: label errors, which are images whose out-of-fold predictions contradict the label.

Method: confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
Journal of Artificial Intelligence Research 70, 2021), as cleanlab implements it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight._util.files import write_text
from tinysight._util.progress import Progress
from tinysight.auditing.context import SPLITS, AuditContext
from tinysight.auditing.section import AuditSection
from tinysight.data.dataset import Labels
from tinysight.data.image_ids import to_csv
from tinysight.reporting.section import ListedImage, Row, Table
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.run import Run


@dataclass(frozen=True)
class LabelIssueIndices:
    """Images with likely label errors, the lowest label quality first.

    Attributes:
        indices: int64, (k,).
        suggested: int64, (k,), the most probable class.
        quality: float64, (k,), 0..1, the predicted probability of the label; 0 is worst.
    """

    indices: NDArray[np.int64]
    suggested: Labels
    quality: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.indices)


def find_label_issues(probabilities: NDArray[np.float64], labels: Labels) -> LabelIssueIndices:
    """Return the images with likely label errors.

    Args:
        probabilities: (n, classes), predicted by models that were not trained on the image.
        labels: int64, (n,), the given labels.
    """
    from cleanlab import filter as cleanlab_filter
    from cleanlab import rank as cleanlab_rank

    # Either filter alone flags too many images where models confuse classes; the numbers are in
    # docs/experiments/label-errors-fast-90.md.
    # n_jobs=1: cleanlab forks workers, and a fork of a process with threads can deadlock.
    is_issue = cleanlab_filter.find_label_issues(labels, probabilities, filter_by="both", n_jobs=1)
    quality = cleanlab_rank.get_label_quality_scores(labels, probabilities, method="self_confidence")
    order = np.flatnonzero(is_issue)[np.argsort(quality[is_issue], kind="stable")]
    return LabelIssueIndices(order, probabilities[order].argmax(1), quality[order])


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


class LabelErrors(AuditSection[LabelIssues]):
    """Likely label errors, from the out-of-fold predictions of the shadow models."""

    name = "label_issues"
    heading = "label errors"
    order, cost = 60, 60
    requires = "shadow_models"
    instead = "compare the labels with the predictions in out_of_fold.csv of a cross-validation"
    result_type = LabelIssues

    def compute(self, context: AuditContext, progress: Progress) -> LabelIssues:
        """Check the labels of the images of all splits."""
        shadows = context.require_shadow_models()
        found = find_label_issues(shadows.out_of_fold_probabilities(), shadows.labels)
        classes = context.dataset.class_names
        issues = tuple(
            LabelIssue(
                context.names[index], classes[shadows.labels[index]], classes[suggested], round(float(quality), 4)
            )
            for index, suggested, quality in zip(found.indices, found.suggested, found.quality, strict=True)
        )
        counts = {split: int((context.splits[found.indices] == split).sum()) for split in SPLITS}
        return LabelIssues(len(shadows), len(shadows.labels), counts, issues)

    def summarize(self, result: LabelIssues) -> str:
        """Return the number of likely label errors."""
        test = f", {result.n_by_split['test']:,} of them in the test set" if result.n_by_split.get("test") else ""
        models = f"{result.n_shadow_models} shadow models"
        return f"{len(result.issues):,} likely errors in n = {result.n:,} labels{test} ({models})"

    def rows(self, result: LabelIssues, limit: int) -> tuple[Table, ...]:
        """Return the images with the lowest label quality."""
        rows = tuple(
            Row(images=(ListedImage(issue.image, (f"label {issue.label}", f"predicted {issue.suggested}")),))
            for issue in result.issues[:limit]
        )
        note = "All likely label errors are in label_issues.csv; a recipe excludes them with data.exclude_file."
        return (Table((), rows, len(result.issues), "likely label errors", note),)

    def write_files(self, result: LabelIssues, run: Run) -> None:
        """Write label_issues.csv, which the recipe key `data.exclude_file` accepts."""
        issues = result.issues
        text = to_csv(
            [issue.image for issue in issues],
            label=[issue.label for issue in issues],
            suggested=[issue.suggested for issue in issues],
            quality=[issue.quality for issue in issues],
        )
        write_text(RunArtifacts(run).label_issues_path, text)
