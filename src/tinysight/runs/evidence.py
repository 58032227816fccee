"""What was found out about a run, and told of it: the files beside those that training and evaluation leave."""

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
    """What was found out about `run`. Reading raises RunError, writing StorageError, each naming the file."""

    run: Run

    def audit(self) -> Audit | None:
        """Return what `audit` found of the weights that are kept, or None if nothing was."""
        path = self._path("audit.json")
        found = records.read(Audit, path) if path.exists() else None
        return found if found and found.weights_sha256 == self.run.weights_seal() else None

    def write_audit(self, found: Audit) -> None:
        """Keep what an audit found so far, and the labels that are likely to be wrong also as a list to act on."""
        records.write(found, self._path("audit.json"))
        if found.labels:
            write_text(self.labels_path, _as_list(found.labels))

    @property
    def labels_path(self) -> Path:
        """The list of labels that are likely to be wrong, which `data.exclude` takes as it is."""
        return self._path("labels.csv")

    def shadows(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float32]]]:
        """Yield of each shadow model which images it knows, (n,), and its logits, (n, classes)."""
        number = 0
        while (path := self._shadow_path(number)).exists():
            tensors, _, _ = weights.read_tensors(path)
            if set(tensors) != {"knows", "logits"}:
                raise RunError(f"{path} does not hold a shadow model; remove it, and audit again.")
            yield tensors["knows"].numpy(), tensors["logits"].numpy()
            number += 1

    def write_shadow(self, number: int, knows: NDArray[np.bool_], logits: NDArray[np.float32]) -> None:
        """Keep what shadow model `number` says of all images."""
        tensors = {"knows": torch.from_numpy(knows), "logits": torch.from_numpy(logits)}
        weights.write_tensors(tensors, {}, self._shadow_path(number))

    def forgetting(self) -> Forgetting | None:
        """Return what `forget` has to show, or None if this run forgot nothing."""
        path = self._path("forgetting.json")
        return records.read(Forgetting, path) if path.exists() else None

    def write_forgetting(self, proof: Forgetting, words: str) -> None:
        """Keep what `forget` has to show, for programs and in words."""
        write_text(self._path("forgetting.txt"), words + "\n")
        records.write(proof, self._path("forgetting.json"))

    def write_card(self, text: str) -> Path:
        """Keep the card, and return where."""
        write_text(self._path("card.md"), text)
        return self._path("card.md")

    def write_report(self, text: str) -> Path:
        """Keep the page, and return where."""
        write_text(self._path("report.html"), text)
        return self._path("report.html")

    def _shadow_path(self, number: int) -> Path:
        return self._path("shadows") / f"{number}.safetensors"

    def _path(self, name: str) -> Path:
        return self.run.path / name


def _as_list(found: WrongLabels) -> str:
    every = found.suspects
    columns = {column: [getattr(one, column) for one in every] for column in ("label", "likelier", "quality")}
    return names.as_list([one.image for one in every], **columns)
