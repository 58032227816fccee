"""Interface of audit sections.

A section is one file in `tinysight.auditing.sections`; `tinysight.auditing.registry` finds it. The conformance checks
are in `tests/auditing/test_sections.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Literal, TypeVar

from tinysight._util.progress import Progress
from tinysight.auditing.context import AuditContext
from tinysight.data.labels import Task
from tinysight.reporting.section import Table
from tinysight.runs.run import Run

ResultT = TypeVar("ResultT")

Requirement = Literal["dataset", "groups_file", "shadow_models"]


class AuditSection(ABC, Generic[ResultT]):
    """One section of an audit.

    Attributes:
        name: key of the result in audit.json.
        heading: heading in the report and in the terminal, lowercase.
        order: position in the report; lower comes first.
        cost: position in the computation; cheaper sections have lower numbers and are computed first.
        requires: input of the section beyond the run and its dataset.
        instead: if the section needs one class per image: what to do instead with several labels per image, without a
            period; else "".
        result_type: type of the result, which pydantic can write as JSON and read back.
    """

    name: str
    heading: str
    order: int
    cost: int
    requires: Requirement = "dataset"
    instead: str = ""
    result_type: type[ResultT]

    def supports(self, task: Task) -> bool:
        """Return whether the section can be computed for this task."""
        return task == "multi-class" or not self.instead

    def estimate_seconds(self, context: AuditContext, prediction_seconds: float) -> float:
        """Return about how many seconds `compute` takes; 0 if that is always a few.

        `prediction_seconds` is the measured time in which the classifier predicts one image.
        """
        return 0.0

    @abstractmethod
    def compute(self, context: AuditContext, progress: Progress) -> ResultT:
        """Compute the result. `context` has the groups file or the shadow models if the section requires them."""

    @abstractmethod
    def summarize(self, result: ResultT) -> str:
        """Return a summary in one line of at most 200 characters, with the number of images, without a period."""

    @abstractmethod
    def rows(self, result: ResultT, limit: int) -> tuple[Table, ...]:
        """Return tables or image grids with at most `limit` rows each; `n_total` counts the rows that exist."""

    def write_files(self, result: ResultT, run: Run) -> None:
        """Write files beside audit.json."""
