"""What the JSON files of a run hold, and the one way they are read: strictly."""

from __future__ import annotations

import hashlib
import json
import reprlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinysight.data.looks import WHOLE, Looks
from tinysight.errors import RunError
from tinysight.files import write_text
from tinysight.recipes.schema import Model

FORMAT: Final = 3
LARGEST_RECORD = 50_000_000  # bytes; predictions of millions of images are not kept in JSON

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Status = Literal["running", "finished", "interrupted", "failed"]


class Record(BaseModel):
    """One JSON file of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[3] = FORMAT


class DatasetRecord(BaseModel):
    """Which images a run learned from, so that the same ones can be found again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    argument: str = Field(description="what --data was given, a folder's path made absolute")
    data_dir: str | None = Field(description="where CIFAR-10 was said to lie, made absolute")
    fingerprint: str
    source: str
    published: bool | None
    remarks: tuple[str, ...]


class Summary(Record):
    """summary.json: what became of the run."""

    status: Status
    recipe: str
    dataset: str
    remarks: tuple[str, ...] = ()
    epochs: int = 0
    parameters: int = 0
    val_accuracy: Finite | None = None
    train_seconds: Finite = 0.0
    total_seconds: Finite = 0.0
    error: str | None = None
    history_sha256: str = ""

    @property
    def length(self) -> str:
        """How many epochs, in words."""
        return "1 epoch" if self.epochs == 1 else f"{self.epochs:,} epochs"


class Environment(Record):
    """environment.json: on what, with what and from what the run was made."""

    versions: dict[str, str]
    processor: str
    features: tuple[str, ...]
    system: str
    threads: int
    workers: int = Field(1, ge=1, description="processes that trained together, each on so many threads")
    device: str
    precision: Literal["fp32", "bf16"]
    seed: int
    git_commit: str | None
    dataset: DatasetRecord
    changes: tuple[str, ...] = Field((), description="what was another when the run was gone on with")

    @property
    def cores(self) -> int:
        """How many cores were kept busy, by all workers together."""
        return self.threads * self.workers


class ModelRecord(Record):
    """model.json: everything that predicts, but for the weights."""

    model: Model
    class_names: tuple[str, ...] = Field(min_length=2)
    image_size: int = Field(ge=8, le=512)
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]
    temperature: float = Field(1.0, ge=0.01, le=100)
    unsure_below: float = Field(0.5, ge=0, le=2)
    doubt: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    tta_shift: int = Field(0, ge=0, le=7, description="pixels; below the smallest image_size")
    remarks: tuple[str, ...]
    looks: Looks = WHOLE
    weights_sha256: str


class Epoch(BaseModel):
    """One line of history.jsonl."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: int
    seconds: Finite
    images_per_second: Finite
    loss: Finite
    accuracy: Finite
    val_loss: Finite
    val_accuracy: Finite
    lr: Finite


AnyRecord = TypeVar("AnyRecord", bound=Record)


def read(kind: type[AnyRecord], path: Path) -> AnyRecord:
    """Return the record in `path`.

    Raises:
        RunError: the file is missing, no JSON, altered since it was written, or not of this kind and format.
    """
    values = read_sealed(path)
    try:
        return kind.model_validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RunError(f"{path} was not written by this version of tinysight: {place}: {first['msg']}.") from error


def write(record: Record, path: Path) -> None:
    """Write the record to `path`, sealed with a checksum of its own content."""
    write_sealed(record.model_dump(mode="json"), path)


def read_sealed(path: Path) -> dict[str, Any]:
    """Return what `write_sealed` wrote. Raises RunError if it is missing, was altered, or has another format."""
    values = _read_json(path)
    seal = values.pop("sha256", None)
    require_format(values.get("format"), path)
    if seal != _seal(values):
        raise RunError(f"{path} was altered after it was written; restore it from a copy or train again.")
    return values


def write_sealed(values: dict[str, Any], path: Path) -> None:
    """Write `values`, a format number among them, to `path` as JSON, sealed with a checksum of their own."""
    text = json.dumps({**values, "sha256": _seal(values)}, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def require_format(found: object, path: Path) -> None:
    """Raise RunError if a file has another format number than those this version writes."""
    if found != FORMAT:
        raise RunError(f"{path} has format {reprlib.repr(found)}; this tinysight reads format {FORMAT}.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_RECORD:
            raise RunError(f"{path} is far too large; it was not written by tinysight.")
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: {path.parent} is not a complete run directory.") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it from a copy or train again.") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} holds no JSON object; restore it from a copy or train again.")
    return values


def read_sealed_text(path: Path) -> str:
    """Return what `write_sealed_text` wrote. Raises RunError if it is missing or was altered since."""
    try:
        seal, _, text = path.read_bytes().decode().partition("\n")
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: {path.parent} is not a complete run directory.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read; restore it from a copy or train again.") from error
    if seal != _comment(text):
        raise RunError(f"{path} was altered after it was written; restore it from a copy or train again.")
    return text


def write_sealed_text(text: str, path: Path) -> None:
    """Write TOML `text` to `path` under a comment that holds its checksum."""
    write_text(path, f"{_comment(text)}\n{text}")


def _comment(text: str) -> str:
    return f"# format {FORMAT}, sha256 of the lines below: {digest(text)}"


def _seal(values: dict[str, Any]) -> str:
    return digest(json.dumps(values, sort_keys=True))


def digest(text: str) -> str:
    """Return the SHA-256 of `text`, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
