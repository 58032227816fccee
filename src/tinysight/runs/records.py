"""Schemas of the JSON files of a run, and strict readers for them."""

from __future__ import annotations

import hashlib
import json
import reprlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinysight._util.errors import RunError
from tinysight._util.files import write_text
from tinysight.models.classifier import ClassifierSpec

RUN_FORMAT: Final = 3
MAX_RECORD_BYTES = 50_000_000  # bytes; far above any record, since predictions are not stored in JSON

Finite = Annotated[float, Field(allow_inf_nan=False)]
RunStatus = Literal["running", "finished", "interrupted", "failed"]


class Record(BaseModel):
    """One JSON file of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[3] = RUN_FORMAT


class DatasetRecord(BaseModel):
    """The dataset of a run: its source and fingerprint, needed to load the same images again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    argument: str = Field(description="value of --data; a folder as an absolute path")
    data_dir: str | None = Field(description="absolute path of the CIFAR-10 folder, if one was given")
    fingerprint: str
    source: str
    is_official: bool | None
    notes: tuple[str, ...]


class Summary(Record):
    """summary.json: the status and the totals of a run."""

    status: RunStatus
    recipe: str
    dataset: str
    notes: tuple[str, ...] = ()
    epochs: int = 0
    parameters: int = 0
    val_accuracy: Finite | None = None
    train_seconds: Finite = 0.0
    total_seconds: Finite = 0.0
    error: str | None = None
    history_sha256: str = ""

    @property
    def epochs_text(self) -> str:
        """The number of epochs as text, such as "3 epochs"."""
        return "1 epoch" if self.epochs == 1 else f"{self.epochs:,} epochs"


class Environment(Record):
    """environment.json: the hardware, software, seed and dataset of a run."""

    versions: dict[str, str]
    processor: str
    cpu_features: tuple[str, ...]
    system: str
    threads: int
    workers: int = Field(1, ge=1, description="data-parallel processes, each with `threads` threads")
    device: str
    precision: Literal["fp32", "bf16"]
    seed: int
    git_commit: str | None
    dataset: DatasetRecord
    changes: tuple[str, ...] = Field((), description="differences found when resuming")

    @property
    def cores(self) -> int:
        """Total threads over all workers."""
        return self.threads * self.workers


class ModelRecord(ClassifierSpec, Record):
    """model.json: the classifier without its weights, and their checksum."""

    weights_sha256: str

    @property
    def spec(self) -> ClassifierSpec:
        """The classifier without its weights."""
        return ClassifierSpec(**{name: value for name, value in self if name in ClassifierSpec.model_fields})


class EpochRecord(BaseModel):
    """One line of history.jsonl: the metrics of an epoch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: int
    seconds: Finite
    images_per_second: Finite
    loss: Finite
    accuracy: Finite
    val_loss: Finite
    val_accuracy: Finite
    lr: Finite


RecordT = TypeVar("RecordT", bound=Record)


def read_record(kind: type[RecordT], path: Path) -> RecordT:
    """Return the record in `path`.

    Raises:
        RunError: the file is missing, not JSON, was modified, or does not match the schema and the format.
    """
    values = read_checked(path)
    try:
        return kind.model_validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RunError(f"{path}: not written by this version of tinysight ({field}: {first['msg']}).") from error


def write_record(record: Record, path: Path) -> None:
    """Write the record and its checksum to `path`."""
    write_checked(record.model_dump(mode="json"), path)


def read_checked(path: Path) -> dict[str, Any]:
    """Return the values that `write_checked` wrote.

    Raises:
        RunError: the file is missing, was modified, or has another format.
    """
    values = _read_json(path)
    checksum = values.pop("sha256", None)
    check_format(values.get("format"), path)
    if checksum != _checksum(values):
        raise RunError(f"{path}: modified after it was written. Restore it from a copy or train again.")
    return values


def write_checked(values: dict[str, Any], path: Path) -> None:
    """Write `values`, which include a format number, and their checksum to `path` as JSON."""
    text = json.dumps({**values, "sha256": _checksum(values)}, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def check_format(file_format: object, path: Path) -> None:
    """Raise RunError if the format number `file_format` in a file is not the one that this version writes."""
    if file_format != RUN_FORMAT:
        raise RunError(
            f"{path}: has format {reprlib.repr(file_format)}. This version of tinysight reads format {RUN_FORMAT}."
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            raise RunError(f"{path}: larger than {MAX_RECORD_BYTES:,} bytes. It was not written by tinysight.")
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path}: missing. {path.parent} is not a complete run directory.") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged ({error}). Restore it from a copy or train again.") from error
    if not isinstance(values, dict):
        raise RunError(f"{path}: not a JSON object. Restore it from a copy or train again.")
    return values


def read_checked_text(path: Path) -> str:
    """Return the text that `write_checked_text` wrote. Raises RunError if the file is missing or was modified."""
    try:
        header, _, text = path.read_bytes().decode().partition("\n")
    except FileNotFoundError as error:
        raise RunError(f"{path}: missing. {path.parent} is not a complete run directory.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read. Restore it from a copy or train again.") from error
    if header != _checksum_line(text):
        raise RunError(f"{path}: modified after it was written. Restore it from a copy or train again.")
    return text


def write_checked_text(text: str, path: Path) -> None:
    """Write TOML `text` to `path` below a comment line with its checksum."""
    write_text(path, f"{_checksum_line(text)}\n{text}")


def _checksum_line(text: str) -> str:
    return f"# format {RUN_FORMAT}, sha256 of the lines below: {sha256_hex(text)}"


def _checksum(values: dict[str, Any]) -> str:
    return sha256_hex(json.dumps(values, sort_keys=True))


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of `text`, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
