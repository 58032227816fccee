"""The run directory; the only module that contains its file names."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from tinysight._util import hardware, optional_deps
from tinysight._util.errors import RecipeError, RunError
from tinysight._util.files import atomic_dir, atomic_writer, remove_temp_files, storage_errors, write_bytes, write_text
from tinysight._util.formatting import percent, percent_interval
from tinysight._util.locks import exclusive_lock
from tinysight.data import image_ids
from tinysight.data.labels import Labels, Task
from tinysight.models.classifier import Classifier
from tinysight.models.network import NetworkFactory
from tinysight.models.ood import OodDetector
from tinysight.models.registry import build_network
from tinysight.models.scores import predicted_labels
from tinysight.recipes import loading
from tinysight.recipes.schema import Recipe
from tinysight.runs import checkpoint, records, weights
from tinysight.runs.checkpoint import Checkpoint
from tinysight.runs.find import suggest_run
from tinysight.runs.image_index import ImageIndex
from tinysight.runs.records import (
    RUN_FORMAT,
    AnyMetrics,
    Environment,
    EpochRecord,
    Metrics,
    ModelRecord,
    MultiLabelMetrics,
    Summary,
)

DATASET_TABLE = "dataset.csv"
IMAGE_DIR = "images"
"""The folder in a run of images that are in no other file; its table lists them."""

_TRAINING_FILES = (
    "environment.json",
    "history.jsonl",
    "summary.json",
    "model.json",
    "model.safetensors",
    "ood.safetensors",
    "checkpoint/*",
)


@dataclass(frozen=True)
class Run:
    """A run directory. Reading raises RunError, writing StorageError; both name the file.

    Attributes:
        path: the directory.
        network: builds the network of the run if it is the user's own: the factory that the run was trained with.
    """

    path: Path
    network: NetworkFactory | None = field(default=None, repr=False, compare=False)

    @classmethod
    def create(
        cls,
        path: Path,
        recipe: Recipe,
        environment: Environment,
        summary: Summary,
        notes: Iterable[str] = (),
        images: ImageIndex | None = None,
        dataset_files: Mapping[str, bytes] = MappingProxyType({}),
        first_checkpoint: Checkpoint | None = None,
    ) -> Run:
        """Create a run directory atomically: recipe, environment, use of each image if known, and an empty history.

        Args:
            path: the directory.
            recipe: the resolved recipe.
            environment: hardware, software, seed and dataset.
            summary: the first summary.
            notes: notes on the dataset.
            images: how the run uses each image.
            dataset_files: the content of dataset.csv, and of the images that it lists in the run, by path in the run.
            first_checkpoint: the state that training starts from, if the recipe and the seed do not determine it.

        Raises:
            RunError: `path` exists and is not an empty directory.
        """
        cls.check_available(path)
        with atomic_dir(path) as temp_dir:
            run = cls(temp_dir)
            run.write_recipe(recipe, notes)
            run.write_environment(environment)
            run.write_progress(summary, [])
            if images is not None:
                run.write_image_index(images)
            for name, content in dataset_files.items():
                (temp_dir / name).parent.mkdir(parents=True, exist_ok=True)
                # To sync thousands of images would take minutes, and the fingerprint shows if some are damaged.
                (write_bytes if name == DATASET_TABLE else Path.write_bytes)(temp_dir / name, content)
            if first_checkpoint is not None:
                run.write_checkpoint(first_checkpoint)
        return cls(path)

    @staticmethod
    def check_available(path: Path) -> None:
        """Raise RunError if `path` exists and is not an empty directory."""
        if not Run.is_available(path):
            raise RunError(f"{path}: already exists. Choose another directory, or resume the run.")

    @staticmethod
    def is_available(path: Path) -> bool:
        """Return whether `path` does not exist or is an empty directory."""
        with storage_errors(path):
            return not path.exists() or (path.is_dir() and not any(path.iterdir()))

    @classmethod
    def open(cls, path: str | Path, network: NetworkFactory | None = None) -> Run:
        """Return the run at `path`. Raises RunError if there is none.

        A run of a user's own network needs the factory that it was trained with, as `network`.
        """
        if not os.path.isdir(path):  # Path.is_dir raises an error for very long names
            raise RunError(f"{path}: no run directory. {suggest_run(Path(path))}")
        run = cls(Path(path), network)
        run.summary()
        return run

    def _repr_html_(self) -> str:
        """Return the HTML summary that a notebook displays."""
        metrics = None
        with suppress(RunError):
            metrics = self.metrics()
        return _html_table(self.path, self.summary(), metrics)

    @contextmanager
    def training_lock(self) -> Iterator[None]:
        """Lock the directory for training, and remove the temporary files of killed processes.

        Raises:
            RunError: another process is training in the directory.
        """
        error = RunError(f"{self.path}: another process is training in this directory. Wait until it ends.")
        with exclusive_lock(self.path / ".lock", error):
            remove_temp_files(*(self.path / name for name in _TRAINING_FILES))
            yield

    def summary(self) -> Summary:
        """Return the status and the totals of the run."""
        return records.read_record(Summary, self.path / "summary.json")

    def write_summary(self, summary: Summary) -> None:
        """Write summary.json."""
        records.write_record(summary, self.path / "summary.json")

    def recipe(self) -> Recipe:
        """Return the resolved recipe; `data.exclude_file` points to the list of excluded images in the run."""
        path = self.path / "recipe.toml"
        recipe = loading.parse_recipe(records.read_checked_text(path), str(path))
        if recipe.data.exclude_file is None:
            return recipe
        records.read_checked_text(self._excluded)
        return recipe.with_excluded(self._excluded)

    def write_recipe(self, recipe: Recipe, notes: Iterable[str] = ()) -> None:
        """Write all values, defaults included, below the notes on the dataset as comments."""
        comments = "".join(f"# {note}\n" for note in notes)
        records.write_checked_text(comments + loading.dump_recipe(recipe), self.path / "recipe.toml")
        if recipe.data.exclude_file is not None:
            records.write_checked_text(
                image_ids.to_csv(image_ids.read_image_ids(Path(recipe.data.exclude_file))), self._excluded
            )

    def environment(self) -> Environment:
        """Return the hardware, software, seed and dataset of the run."""
        return records.read_record(Environment, self.path / "environment.json")

    def write_environment(self, environment: Environment) -> None:
        """Write environment.json."""
        records.write_record(environment, self.path / "environment.json")

    @property
    def dataset_table(self) -> Path:
        """The table of the images of a run whose dataset was changed; other runs have none."""
        return self.path / DATASET_TABLE

    def image_index(self) -> ImageIndex | None:
        """Return how the run used each image, or None if it has no record of that."""
        path = self._image_index
        return ImageIndex.read(path) if path.exists() else None

    def write_image_index(self, index: ImageIndex) -> None:
        """Write the index of images."""
        index.write(self._image_index)

    def history(self) -> list[EpochRecord]:
        """Return one record per epoch, in order; empty if the run was interrupted in the first epoch."""
        path = self.path / "history.jsonl"
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{path}: missing or damaged. Restore it from a copy or train again.") from error
        if records.sha256_hex(text) != self.summary().history_sha256:
            raise RunError(f"{path}: modified after it was written. Restore it from a copy or train again.")
        try:
            return [EpochRecord.model_validate_json(line) for line in text.splitlines()]
        except ValidationError as error:
            raise RunError(f"{path}: not written by this version of tinysight. Train again.") from error

    def write_history(self, history: list[EpochRecord]) -> str:
        """Write one line per epoch, and return the checksum for the summary."""
        text = "".join(epoch.model_dump_json() + "\n" for epoch in history)
        write_text(self.path / "history.jsonl", text)
        return records.sha256_hex(text)

    def write_progress(self, summary: Summary, history: list[EpochRecord]) -> Summary:
        """Write the history, then the summary with its checksum; return that summary."""
        updated = summary.model_copy(update={"history_sha256": self.write_history(history)})
        self.write_summary(updated)
        return updated

    def checkpoint(self) -> Checkpoint | None:
        """Return the newest valid checkpoint, or None if there is none."""
        return checkpoint.load(self.path / "checkpoint")

    def checkpoint_mtime(self) -> float:
        """Return the modification time of the newest checkpoint, in seconds since 1970; 0 if there is none."""
        return checkpoint.latest_mtime(self.path / "checkpoint")

    def write_checkpoint(self, state: Checkpoint) -> None:
        """Write a checkpoint and keep the previous one."""
        checkpoint.save(state, self.path / "checkpoint")

    def classifier(self) -> Classifier:
        """Return the classifier, after checking its weights against their checksum and shapes."""
        if self.summary().status == "running":
            raise RunError(f"{self.path}: training is running or was killed. Wait, or resume it.")
        record = self._model()
        path = self.path / "model.safetensors"
        tensors, _, checksum = weights.read_tensors(path)
        if checksum != record.weights_sha256:
            raise RunError(f"{path}: does not match model.json in the same directory. Restore both from one copy.")
        weights.check_finite(tensors, path)
        network = self._build_network(record)
        if _shapes(tensors) != _shapes(network.state_dict()):
            raise RunError(f"{path}: the shapes of the weights do not match model.json. Restore both from one copy.")
        network.load_state_dict({name: _channels_last(tensor) for name, tensor in tensors.items()}, assign=True)
        classifier = Classifier(record.spec, network, self._read_detector(record))
        return classifier if self._same_bf16() else classifier.with_spec(bf16_margin=None)

    def _read_detector(self, record: ModelRecord) -> OodDetector | None:
        """Return the OOD detector, or None if the classifier has none."""
        if record.ood_sha256 is None:
            return None
        path = self.path / "ood.safetensors"
        tensors, _, checksum = weights.read_tensors(path)
        if checksum != record.ood_sha256:
            raise RunError(f"{path}: does not match model.json in the same directory. Restore both from one copy.")
        weights.check_finite(tensors, path)
        n = len(tensors["energies"]) if set(tensors) == {"features", "energies"} else 0
        width = tensors["features"].shape[-1] if n else 0
        shapes = {"features": (torch.Size((n, width)), torch.float16), "energies": (torch.Size((n,)), torch.float32)}
        if not n or not width or _shapes(tensors) != shapes:
            raise RunError(f"{path}: contains no embeddings of training images. Restore it from a copy or train again.")
        return OodDetector(**tensors, task=record.task)

    def _build_network(self, record: ModelRecord) -> nn.Module:
        """Build the network of model.json, whose weights the caller assigns."""
        is_custom = record.model.architecture == "custom"
        if is_custom and self.network is None:
            raise RunError(
                f"{self.path}: its network is built by the code that trained it. Open the run from Python with "
                "Run.open(path, network=factory)."
            )
        factory = self.network if is_custom else None
        # Built-in networks allocate no memory, since model.json can name any size. A user's own may not support that.
        try:
            with torch.random.fork_rng(devices=[]), torch.device("cpu" if is_custom else "meta"):
                return build_network(record.model, len(record.class_names), record.image_size, factory)
        except RecipeError as error:
            path, reason = self.path / "model.json", str(error).removesuffix(".")
            raise RunError(f"{path}: not written by this version of tinysight ({reason}). Train again.") from error

    def _same_bf16(self) -> bool:
        """Return whether torch and the processor are those for which bfloat16 was compared with float32."""
        trained = self.environment()
        return (trained.versions.get("torch"), trained.processor) == (
            optional_deps.version("torch"),
            hardware.processor_name(),
        )

    def write_classifier(self, classifier: Classifier) -> None:
        """Write the weights and the OOD detector, then model.json; remove the results of the previous weights."""
        checksum = weights.write_tensors(classifier.network.state_dict(), {}, self.path / "model.safetensors")
        record = ModelRecord(
            **dict(classifier.spec), weights_sha256=checksum, ood_sha256=self._write_detector(classifier.detector)
        )
        records.write_record(record, self.path / "model.json")
        self._remove_evaluation()

    def _write_detector(self, detector: OodDetector | None) -> str | None:
        """Write the OOD detector and return its checksum; without one, remove that of earlier weights."""
        path = self.path / "ood.safetensors"
        if detector is not None:
            return weights.write_tensors({"features": detector.features, "energies": detector.energies}, {}, path)
        with storage_errors(path):
            path.unlink(missing_ok=True)
        return None

    def metrics(self) -> AnyMetrics:
        """Return the metrics of the current weights: `MultiLabelMetrics` if images may have several labels.

        Raises:
            RunError: the run is not evaluated, or metrics.json is damaged or belongs to other weights.
        """
        if not self.is_evaluated:
            raise RunError(f"{self.path}: not evaluated yet. Evaluate it first.")
        path = self.path / "metrics.json"
        kind: type[Metrics] | type[MultiLabelMetrics] = MultiLabelMetrics if self.task() == "multi-label" else Metrics
        metrics: AnyMetrics = records.read_record(kind, path)
        if metrics.weights_sha256 != self.weights_checksum():
            raise RunError(f"{path}: computed for other weights. Evaluate the run again.")
        return metrics

    @property
    def is_evaluated(self) -> bool:
        """Whether metrics.json exists."""
        return (self.path / "metrics.json").exists()

    def write_metrics(self, metrics: AnyMetrics) -> None:
        """Write metrics.json. Raises RunError if the metrics are not those of the current weights."""
        if metrics.weights_sha256 != self.weights_checksum():
            raise RunError(f"{self.path}: the weights changed during the evaluation. Evaluate the run again.")
        records.write_record(metrics, self.path / "metrics.json")

    def task(self) -> Task:
        """Return "multi-class" if the classifier gives each image one class, "multi-label" if any number of labels."""
        return self._model().task

    def class_names(self) -> tuple[str, ...]:
        """Return the class names, in the order of the classifier's outputs."""
        return self._model().class_names

    def weights_checksum(self) -> str:
        """Return the checksum of the current weights."""
        return self._model().weights_sha256

    def write_predictions(
        self, probabilities: NDArray[np.float32], labels: NDArray[np.int64], notes: Sequence[str] = ()
    ) -> None:
        """Write the probabilities (n, classes) and labels of the evaluated split, and the notes on the dataset.

        Labels are (n,), or (n, classes) if images may have several.
        """
        arrays: dict[str, Any] = {"probabilities": probabilities, "labels": labels, "notes": np.array(notes, dtype=str)}
        with atomic_writer(self.path / "predictions.npz") as file:
            np.savez_compressed(file, format=RUN_FORMAT, sha256=_arrays_checksum(arrays), **arrays)

    def predictions(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the probabilities (n, classes) and labels of the evaluated split, as `write_predictions` takes them.

        Raises:
            RunError: predictions.npz is missing or damaged, was modified, or has a different format or schema.
        """
        path = self.path / "predictions.npz"
        try:
            with path.open("rb") as file:  # np.load does not close a file that is no archive
                archive = np.load(file, allow_pickle=False)
                arrays = {name: archive[name] for name in archive.files}
        except (OSError, EOFError, AttributeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise RunError(f"{path}: missing or damaged. Evaluate the run again.") from error
        records.check_format(arrays.pop("format", np.array(None)).tolist(), path)
        checksum = str(arrays.pop("sha256", ""))
        if set(arrays) != {"probabilities", "labels", "notes"} or not _are_predictions(**arrays):
            raise RunError(f"{path}: contains no predictions. Evaluate the run again.")
        if checksum != _arrays_checksum(arrays):
            raise RunError(f"{path}: modified after it was written. Evaluate the run again.")
        return arrays["probabilities"], arrays["labels"]

    def predicted_labels(self) -> Labels:
        """Return the predicted classes of the evaluated split, int64 (n,); or labels at their thresholds, (n, labels).

        Raises:
            RunError: as for `predictions` and `metrics`.
        """
        metrics, (probabilities, _) = self.metrics(), self.predictions()
        scores = metrics.per_label.values() if isinstance(metrics, MultiLabelMetrics) else ()
        return predicted_labels(probabilities, [label.threshold for label in scores])

    def read_files(self) -> dict[str, bytes]:
        """Return the content of each file by its path in the directory; checkpoints are left out."""
        names = (path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file())
        try:
            return {name.as_posix(): (self.path / name).read_bytes() for name in names if name.parts[0] != "checkpoint"}
        except OSError as error:
            raise RunError(f"{self.path}: cannot be read ({error.strerror}). Check its permissions.") from error

    def write_files(self, files: Mapping[str, bytes]) -> None:
        """Create the directory from the content of its files, as `read_files` returns it."""
        with atomic_dir(self.path) as draft:
            for name, content in files.items():
                write_bytes(draft / name, content)

    def plot_path(self, name: str) -> Path:
        """Return the path of the plot `name`."""
        return self.path / "plots" / f"{name}.png"

    @property
    def _image_index(self) -> Path:
        return self.path / "images.safetensors"

    @property
    def _excluded(self) -> Path:
        return self.path / "excluded.csv"

    def _model(self) -> ModelRecord:
        return records.read_record(ModelRecord, self.path / "model.json")

    def _remove_evaluation(self) -> None:
        """Remove the files of `evaluate` and `audit`."""
        with storage_errors(self.path):
            for name in ("metrics.json", "predictions.npz", "audit.json"):
                (self.path / name).unlink(missing_ok=True)
            for name in ("plots", "shadow_models"):
                if (self.path / name).exists():
                    shutil.rmtree(self.path / name)


def _are_predictions(probabilities: NDArray[Any], labels: NDArray[Any], notes: NDArray[Any]) -> bool:
    """Return whether the arrays have the types, shapes and ranges of predictions."""
    if probabilities.dtype != np.float32 or labels.dtype != np.int64 or notes.dtype.kind != "U" or notes.ndim != 1:
        return False
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        return False
    if labels.shape == probabilities.shape:  # several labels per image
        return bool(np.all((probabilities >= 0) & (probabilities <= 1)) and np.isin(labels, (0, 1)).all())
    if labels.shape != probabilities.shape[:1]:
        return False
    sums_to_one = np.allclose(probabilities.sum(1), 1, atol=1e-3)  # NaN and infinity do not
    in_range = np.all(probabilities >= 0) and np.all((labels >= 0) & (labels < probabilities.shape[1]))
    return bool(sums_to_one and in_range)


def _arrays_checksum(arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _channels_last(weights: Tensor) -> Tensor:
    """Return the weights in channels-last format; otherwise convolutions convert them for every batch."""
    return weights.contiguous(memory_format=torch.channels_last) if weights.dim() == 4 else weights


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _html_table(path: Path, summary: Summary, metrics: AnyMetrics | None) -> str:
    """Return a table of the status, size and accuracy of a run; `metrics` is None if it was not evaluated."""
    facts = {
        "run": str(path),
        "recipe": f"{summary.recipe} on {summary.dataset}",
        "status": f"{summary.status} after {summary.epochs_text}, {summary.train_seconds:,.0f} s of training",
        "parameters": f"{summary.parameters:,}",
        f"validation {summary.measure}": "" if summary.val_score is None else percent(summary.val_score),
        summary.measure: "not measured; call evaluate(run)" if metrics is None else _result_text(metrics),
    }
    rows = "".join(
        f'<tr><th style="text-align:left">{name}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in facts.items()
        if text
    )
    notes = "".join(f"<br><em>{escape(note)}</em>" for note in summary.notes)
    return f"<table>{rows}</table>{notes}"


def _result_text(metrics: AnyMetrics) -> str:
    if isinstance(metrics, MultiLabelMetrics):
        score = metrics.mean_average_precision
        return f"{'not defined' if score is None else percent(score)} of {metrics.n:,} {metrics.split} images"
    interval = percent_interval(metrics.accuracy_ci95)
    return f"{percent(metrics.accuracy)} of {metrics.n:,} {metrics.split} images (95% confidence interval {interval})"
