"""Schema of change.json: how the dataset of a run differs from that of the run it was made from."""

from __future__ import annotations

from typing import Literal

from tinysight.data.labels import Measure, Task, measure_of
from tinysight.runs.records import Finite, FrozenModel, Record


class ValidationScore(FrozenModel):
    """The main measure of the task on n validation images, 0..1; None if it was not measured."""

    score: Finite | None
    n: int


class DatasetChange(Record):
    """change.json: images that were added, removed or relabeled, and the validation score before and after.

    Attributes:
        parent: path of the run that was changed.
        task: "multi-label" if images may have several labels.
        action: what was done to the images.
        label: the new label of the images, or the labels with "|" between them; "" for removed images.
        images: number of changed images, by split; splits without any are left out.
        new_classes, removed_classes: classes that only one of the two runs has.
        before, after: scores of the runs on their own validation images.
        before_on_both, after_on_both: accuracy on the validation images that both runs have with the same label; None
            if there are none, or with several labels per image.
    """

    parent: str
    task: Task
    action: Literal["added", "removed", "relabeled"]
    label: str
    images: dict[str, int]
    new_classes: tuple[str, ...]
    removed_classes: tuple[str, ...]
    before: ValidationScore
    after: ValidationScore
    before_on_both: ValidationScore | None
    after_on_both: ValidationScore | None

    @property
    def measure(self) -> Measure:
        """The main measure of the task."""
        return measure_of(self.task)
