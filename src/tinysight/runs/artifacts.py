"""Artifacts of a run: audit, shadow models, card, report, unlearning, change of its dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tinysight._util.errors import RunError
from tinysight._util.files import write_text
from tinysight.runs import records, weights
from tinysight.runs.audit_results import Audit, UnlearningReport
from tinysight.runs.change_record import DatasetChange
from tinysight.runs.run import Run


@dataclass(frozen=True)
class RunArtifacts:
    """Reads and writes the artifacts of `run`. Reading raises RunError, writing StorageError; both name the file."""

    run: Run

    def audit(self) -> Audit | None:
        """Return the audit of the current weights, or None if there is none."""
        path = self._path("audit.json")
        results = records.read_record(Audit, path) if path.exists() else None
        return results if results and results.weights_sha256 == self.run.weights_checksum() else None

    def write_audit(self, audit: Audit) -> None:
        """Write audit.json."""
        records.write_record(audit, self._path("audit.json"))

    @property
    def label_issues_path(self) -> Path:
        """The CSV file of likely label errors; the recipe key `data.exclude_file` accepts it."""
        return self._path("label_issues.csv")

    def shadow_models(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float32]]]:
        """Yield, for each shadow model, the mask of its training images, (n,), and its logits, (n, classes)."""
        number = 0
        while (path := self._shadow_path(number)).exists():
            tensors, _, _ = weights.read_tensors(path)
            if set(tensors) != {"in_mask", "logits"}:
                raise RunError(f"{path}: not a shadow model. Remove the file and audit again.")
            yield tensors["in_mask"].numpy(), tensors["logits"].numpy()
            number += 1

    def write_shadow_model(self, number: int, in_mask: NDArray[np.bool_], logits: NDArray[np.float32]) -> None:
        """Write the training mask and the logits of shadow model `number` on all images."""
        tensors = {"in_mask": torch.from_numpy(in_mask), "logits": torch.from_numpy(logits)}
        weights.write_tensors(tensors, {}, self._shadow_path(number))

    def unlearning(self) -> UnlearningReport | None:
        """Return the unlearning record, or None if no images were unlearned."""
        path = self._path("unlearning.json")
        return records.read_record(UnlearningReport, path) if path.exists() else None

    def write_unlearning(self, report: UnlearningReport, text: str) -> None:
        """Write the unlearning record, as text and as JSON."""
        write_text(self._path("unlearning.txt"), text + "\n")
        records.write_record(report, self._path("unlearning.json"))

    def change(self) -> DatasetChange | None:
        """Return how the dataset differs from that of the run it was made from; None if the run has its own dataset."""
        path = self._path("change.json")
        return records.read_record(DatasetChange, path) if path.exists() else None

    def write_change(self, change: DatasetChange) -> None:
        """Write change.json."""
        records.write_record(change, self._path("change.json"))

    def write_card(self, text: str) -> Path:
        """Write the model card and return its path."""
        write_text(self._path("card.md"), text)
        return self._path("card.md")

    def write_report(self, text: str) -> Path:
        """Write the HTML report and return its path."""
        write_text(self._path("report.html"), text)
        return self._path("report.html")

    def _shadow_path(self, number: int) -> Path:
        return self._path("shadow_models") / f"{number}.safetensors"

    def _path(self, name: str) -> Path:
        return self.run.path / name
