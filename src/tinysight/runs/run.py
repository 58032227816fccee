"""The run directory: what a training leaves behind. The one place that knows its file names."""

from __future__ import annotations

import fcntl
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from tinysight import machine, packages
from tinysight.data import names
from tinysight.errors import RunError
from tinysight.files import atomic_writer, new_folder, remove_drafts, storage_errors, write_text
from tinysight.models.classifier import Classifier, Normalisation
from tinysight.models.registry import build
from tinysight.recipes import loading
from tinysight.recipes.schema import Recipe
from tinysight.runs import checkpoint, records, weights
from tinysight.runs.checkpoint import Checkpoint
from tinysight.runs.records import FORMAT, Environment, Epoch, ModelRecord, Summary

_OF_TRAINING = ("environment.json", "history.jsonl", "summary.json", "model.json", "model.safetensors", "checkpoint/*")


@dataclass(frozen=True)
class Run:
    """A run directory at `path`. Reading raises RunError, writing StorageError, each naming the file."""

    path: Path

    @classmethod
    def create(
        cls, path: Path, recipe: Recipe, environment: Environment, summary: Summary, remarks: Iterable[str] = ()
    ) -> Run:
        """Make a new run directory with what is known before the first step, all of it or nothing.

        Raises:
            RunError: something is there already.
        """
        cls.require_vacant(path)
        with new_folder(path) as draft:
            run = cls(draft)
            run.write_recipe(recipe, remarks)
            run.write_environment(environment)
            run.write_progress(summary, [])
        return cls(path)

    @staticmethod
    def require_vacant(path: Path) -> None:
        """Raise RunError if there is something at `path` that a new run would spoil."""
        if not Run.is_vacant(path):
            raise RunError(f"{path} exists already; choose another --out, or go on with it by --resume.")

    @staticmethod
    def is_vacant(path: Path) -> bool:
        """Return whether a new run could be made at `path`."""
        with storage_errors(path):
            return not path.exists() or (path.is_dir() and not any(path.iterdir()))

    @classmethod
    def open(cls, path: Path) -> Run:
        """Return the run at `path`. Raises RunError if there is none."""
        if not os.path.isdir(path):  # unlike Path.is_dir it takes any name, however long
            raise RunError(f"There is no run directory {path}; `tinysight train` makes one.")
        run = cls(path)
        run.summary()
        return run

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from tinysight.runs.html import run_html

        return run_html(self)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this directory inside the block; clear away what killed ones left.

        Raises:
            RunError: another process is training in it.
        """
        with storage_errors(self.path):
            handle = os.open(self.path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with the process, however it ends
            except BlockingIOError as error:
                os.close(handle)
                raise RunError(f"{self.path} is in training in another process; wait until that ends.") from error
        try:
            remove_drafts(*(self.path / name for name in _OF_TRAINING))
            yield
        finally:
            os.close(handle)

    def summary(self) -> Summary:
        """Return what became of the run."""
        return records.read(Summary, self.path / "summary.json")

    def write_summary(self, summary: Summary) -> None:
        """Say what became of the run."""
        records.write(summary, self.path / "summary.json")

    def recipe(self) -> Recipe:
        """Return every value that was used; images that were left out are those of the run's own list."""
        path = self.path / "recipe.toml"
        recipe = loading.parse(records.read_sealed_text(path), str(path))
        if recipe.data.exclude is None:
            return recipe
        records.read_sealed_text(self._excluded)
        return recipe.excluding(self._excluded)

    def write_recipe(self, recipe: Recipe, remarks: Iterable[str] = ()) -> None:
        """Keep every value that is used, defaults included, under what a reader must know of the data."""
        comments = "".join(f"# {remark}\n" for remark in remarks)
        records.write_sealed_text(comments + loading.dump(recipe), self.path / "recipe.toml")
        if recipe.data.exclude is not None:
            records.write_sealed_text(names.as_list(names.read_names(Path(recipe.data.exclude))), self._excluded)

    def environment(self) -> Environment:
        """Return what the run was made with and from."""
        return records.read(Environment, self.path / "environment.json")

    def write_environment(self, environment: Environment) -> None:
        """Keep what the run is made with and from."""
        records.write(environment, self.path / "environment.json")

    def history(self) -> list[Epoch]:
        """Return one record an epoch, oldest first; none if the run was interrupted in its first epoch."""
        path = self.path / "history.jsonl"
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{path} is missing or damaged; restore it from a copy or train again.") from error
        if records.digest(text) != self.summary().history_sha256:
            raise RunError(f"{path} was altered after it was written; restore it from a copy or train again.")
        try:
            return [Epoch.model_validate_json(line) for line in text.splitlines()]
        except ValidationError as error:
            raise RunError(f"{path} was not written by this version of tinysight; train again.") from error

    def write_history(self, history: list[Epoch]) -> str:
        """Keep one line an epoch and return the checksum that the summary must name."""
        text = "".join(epoch.model_dump_json() + "\n" for epoch in history)
        write_text(self.path / "history.jsonl", text)
        return records.digest(text)

    def write_progress(self, summary: Summary, history: list[Epoch]) -> Summary:
        """Keep the history, then the summary, and return it as it was kept: with the checksum of that history."""
        sealed = summary.model_copy(update={"history_sha256": self.write_history(history)})
        self.write_summary(sealed)
        return sealed

    def checkpoint(self) -> Checkpoint | None:
        """Return where training stood, or None if it never came far enough."""
        return checkpoint.load(self.path / "checkpoint")

    def checkpoint_time(self) -> float:
        """Return when the newest checkpoint was written, in seconds since 1970; 0 if there is none."""
        return checkpoint.time_of_latest(self.path / "checkpoint")

    def write_checkpoint(self, state: Checkpoint) -> None:
        """Keep where training stands."""
        checkpoint.save(state, self.path / "checkpoint")

    def classifier(self) -> Classifier:
        """Return what predicts, its weights checked against what was written."""
        if self.summary().status == "running":
            raise RunError(
                f"{self.path} is still in training, or its training was killed: wait, or go on with it by --resume."
            )
        record = self._model()
        path = self.path / "model.safetensors"
        tensors, _, seal = weights.read_tensors(path)
        if seal != record.weights_sha256:
            raise RunError(f"{path} does not belong to model.json beside it; restore both from one copy.")
        weights.require_finite(tensors, path)
        with torch.device("meta"):  # shapes without memory: model.json may ask for any size
            network = build(record.model, len(record.class_names), record.image_size)
        if _shapes(tensors) != _shapes(network.state_dict()):
            raise RunError(f"{path} holds weights of another shape than model.json says.")
        network.load_state_dict({name: _laid_out(tensor) for name, tensor in tensors.items()}, assign=True)
        normalisation = Normalisation(record.mean, record.std)
        return Classifier(
            record.model,
            network,
            record.class_names,
            record.image_size,
            normalisation,
            record.temperature,
            record.unsure_below,
            record.doubt if self._was_made_here() else None,
            record.tta_shift,
            record.remarks,
            record.looks,
        )

    def _was_made_here(self) -> bool:
        """Whether the bfloat16 of this torch on this processor is the one that was held against float32."""
        made = self.environment()
        return (made.versions.get("torch"), made.processor) == (packages.version("torch"), machine.processor_name())

    def write_classifier(self, classifier: Classifier) -> None:
        """Keep what predicts: first the weights, then model.json that names them. What was found of others goes."""
        seal = weights.write_tensors(classifier.network.state_dict(), {}, self.path / "model.safetensors")
        record = ModelRecord(
            model=classifier.model,
            class_names=classifier.class_names,
            image_size=classifier.image_size,
            mean=classifier.normalisation.mean,
            std=classifier.normalisation.std,
            temperature=classifier.temperature,
            unsure_below=classifier.unsure_below,
            doubt=classifier.doubt,
            tta_shift=classifier.tta_shift,
            remarks=classifier.remarks,
            looks=classifier.looks,
            weights_sha256=seal,
        )
        records.write(record, self.path / "model.json")
        self._forget_evaluation()

    def metrics(self) -> dict[str, Any]:
        """Return what `evaluate` found of the weights that are kept."""
        path = self.path / "metrics.json"
        metrics = records.read_sealed(path)
        if metrics.pop("weights_sha256", None) != self.weights_seal():
            raise RunError(f"{path} tells of other weights than those beside it; run `tinysight evaluate` again.")
        return metrics

    def write_metrics(self, metrics: dict[str, Any], weights_seal: str) -> None:
        """Keep what `evaluate` found of the weights of that seal, unless others have been written meanwhile."""
        if weights_seal != self.weights_seal():
            raise RunError(f"{self.path} got new weights meanwhile; run `tinysight evaluate` again.")
        records.write_sealed({**metrics, "weights_sha256": weights_seal}, self.path / "metrics.json")

    def weights_seal(self) -> str:
        """Return the checksum of the weights that are kept."""
        return self._model().weights_sha256

    def write_predictions(
        self, probabilities: NDArray[np.float32], labels: NDArray[np.int64], remarks: Sequence[str] = ()
    ) -> None:
        """Keep the probabilities (n, classes) and labels (n,) of the evaluated split, and remarks on its images."""
        with atomic_writer(self.path / "predictions.npz") as file:
            np.savez_compressed(file, format=FORMAT, probabilities=probabilities, labels=labels, remarks=remarks)

    def predictions(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the probabilities (n, classes) and labels (n,) of the split that was evaluated."""
        path = self.path / "predictions.npz"
        try:
            with np.load(path, allow_pickle=False) as kept:
                probabilities, labels = kept["probabilities"], kept["labels"]
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise RunError(f"{path} is missing or damaged; run `tinysight evaluate` again.") from error
        if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
            raise RunError(f"{path} holds no predictions; run `tinysight evaluate` again.")
        return probabilities, labels

    def plot_path(self, name: str) -> Path:
        """Return where the plot `name` belongs."""
        return self.path / "plots" / f"{name}.png"

    @property
    def _excluded(self) -> Path:
        return self.path / "excluded.csv"

    def _model(self) -> ModelRecord:
        return records.read(ModelRecord, self.path / "model.json")

    def _forget_evaluation(self) -> None:
        """Remove what `evaluate` and `audit` found."""
        with storage_errors(self.path):
            for name in ("metrics.json", "predictions.npz", "audit.json"):
                (self.path / name).unlink(missing_ok=True)
            for name in ("plots", "shadows"):
                if (self.path / name).exists():
                    shutil.rmtree(self.path / name)


def _laid_out(weights: Tensor) -> Tensor:
    """Return weights in the order of images in memory: convolutions would otherwise convert them for every batch."""
    return weights.contiguous(memory_format=torch.channels_last) if weights.dim() == 4 else weights


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
