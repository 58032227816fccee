"""Artifacts of a run: audit, shadow models, card, report, unlearning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tinysight.data import names
from tinysight.errors import RunError
from tinysight.files import write_text
from tinysight.runs import records, weights
from tinysight.runs.findings import Audit, Forgetting, WrongLabels
from tinysight.runs.run import Run


@dataclass(frozen=True)
class Evidence:
    """Reads and writes the artifacts of `run`. Reading raises RunError, writing StorageError; both name the file."""

    run: Run

    def audit(self) -> Audit | None:
        """Return the audit of the current weights, or None if there is none."""
        path = self._path("audit.json")
        results = records.read(Audit, path) if path.exists() else None
        return results if results and results.weights_sha256 == self.run.weights_seal() else None

    def write_audit(self, found: Audit) -> None:
        """Write audit.json, and the label issues as a CSV file as well."""
        records.write(found, self._path("audit.json"))
        if found.labels:
            write_text(self.labels_path, _label_issues_csv(found.labels))

    @property
    def labels_path(self) -> Path:
        """The CSV file of likely label errors; the recipe key `data.exclude` accepts it."""
        return self._path("labels.csv")

    def shadows(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float32]]]:
        """Yield, for each shadow model, the mask of its training images, (n,), and its logits, (n, classes)."""
        number = 0
        while (path := self._shadow_path(number)).exists():
            tensors, _, _ = weights.read_tensors(path)
            if set(tensors) != {"knows", "logits"}:
                raise RunError(f"{path}: not a shadow model. Remove the file and audit again.")
            yield tensors["knows"].numpy(), tensors["logits"].numpy()
            number += 1

    def write_shadow(self, number: int, knows: NDArray[np.bool_], logits: NDArray[np.float32]) -> None:
        """Write the training mask and the logits of shadow model `number` on all images."""
        tensors = {"knows": torch.from_numpy(knows), "logits": torch.from_numpy(logits)}
        weights.write_tensors(tensors, {}, self._shadow_path(number))

    def forgetting(self) -> Forgetting | None:
        """Return the unlearning record, or None if no images were unlearned."""
        path = self._path("forgetting.json")
        return records.read(Forgetting, path) if path.exists() else None

    def write_forgetting(self, proof: Forgetting, words: str) -> None:
        """Write the unlearning record, as text and as JSON."""
        write_text(self._path("forgetting.txt"), words + "\n")
        records.write(proof, self._path("forgetting.json"))

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


def _label_issues_csv(issues: WrongLabels) -> str:
    rows = issues.suspects
    columns: dict[str, list[str] | list[float]] = {
        "label": [row.label for row in rows],
        "likelier": [row.likelier for row in rows],
        "quality": [row.quality for row in rows],
    }
    return names.as_list([row.image for row in rows], **columns)
