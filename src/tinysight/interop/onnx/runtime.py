"""ONNX classifiers that tinysight exported, run by onnxruntime."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tinysight._util import optional_deps
from tinysight._util.errors import ModelError
from tinysight._util.onnx_session import MAX_BYTES, open_session
from tinysight.data.crops import Crops
from tinysight.data.dataset import Pixels
from tinysight.data.labels import Measure, Task
from tinysight.models.classifier import ClassifierSpec, PredictorInfo, iter_batches
from tinysight.models.predictor import Outputs

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INPUTS = {"images": "uint8, (n, height, width, 3): upright and opaque RGB images of one size, 0..255; any size"}
_PROBABILITIES = "float32, (n, classes): the calibrated probabilities, in the order of class_names"
OUTPUTS: dict[Task, dict[str, str]] = {
    "multi-class": {
        "probabilities": _PROBABILITIES,
        "unsure": "bool, (n,): whether the largest probability is below abstain_below",
    },
    "multi-label": {
        "probabilities": _PROBABILITIES,
        "labels": "bool, (n, classes): whether the image gets each label: its probability is at least its threshold",
    },
}
OOD_OUTPUTS = {
    "ood_scores": "float32, (n,): how unlike the training images each image is",
    "unlike_training": "bool, (n,): whether the score is above ood_threshold; the prediction is then unreliable",
}


def _outputs(task: Task, ood_threshold: float | None, **_: object) -> dict[str, str]:
    return OUTPUTS[task] if ood_threshold is None else OUTPUTS[task] | OOD_OUTPUTS


class Int8Record(BaseModel):
    """The measured cost of quantization to 8-bit integers.

    Attributes:
        n_calibration: number of training images that the ranges of the activations were measured on.
        n_validation: number of validation images that the scores were measured on.
        measure: what the scores are; mean average precision if images may have several labels.
        score: score of the quantized classifier, 0..1; None if no validation image has a label.
        float_score: score of the classifier in floating point.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_calibration: int = Field(ge=1)
    n_validation: int = Field(ge=1)
    measure: Measure
    score: float | None = Field(ge=0, le=1)
    float_score: float | None = Field(ge=0, le=1)


class Metadata(PredictorInfo):
    """Metadata of an exported ONNX file; each property is JSON text.

    Attributes:
        format: number of the format.
        inputs: descriptions of the inputs, by name.
        outputs: descriptions of the outputs, by name, in order.
        image_size: height and width of the squares that the network takes, in pixels.
        tta: whether the graph averages over the views of test-time augmentation.
        int8: the cost of quantization; None in floating point.
    """

    format: Literal[3] = 3
    inputs: dict[str, str] = INPUTS
    outputs: dict[str, str] = Field(default_factory=lambda values: _outputs(**values))
    image_size: int = Field(ge=8, le=512)
    tta: bool = False
    int8: Int8Record | None = None

    @classmethod
    def of(cls, spec: ClassifierSpec, tta: bool = False) -> Metadata:
        """Return the metadata of a classifier in floating point."""
        info = {name: getattr(spec, name) for name in PredictorInfo.model_fields}
        return cls(image_size=spec.image_size, tta=tta, **info)

    def to_properties(self) -> dict[str, str]:
        """Return the ONNX metadata properties."""
        return {key: json.dumps(value, ensure_ascii=False) for key, value in self.model_dump(mode="json").items()}

    @classmethod
    def from_properties(cls, metadata: dict[str, str]) -> Metadata:
        """Parse ONNX metadata properties. Raises KeyError or ValueError if one is missing or invalid."""
        return cls.model_validate({key: json.loads(metadata[key]) for key in cls.model_fields})


@dataclass(frozen=True)
class OnnxClassifier:
    """An exported classifier: maps 0..255 images to class probabilities in onnxruntime.

    Attributes:
        session: the onnxruntime session.
        metadata: class names, thresholds, notes, crops and image size.
    """

    session: InferenceSession
    metadata: Metadata

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names, in the order of the probabilities."""
        return self.metadata.class_names

    @property
    def image_size(self) -> int:
        """Height and width of the images, in pixels."""
        return self.metadata.image_size

    @property
    def abstain_below(self) -> float:
        """The top-1 probability below which the classifier abstains, 0..1; above 1 if it always abstains."""
        return self.metadata.abstain_below

    @property
    def set_threshold(self) -> float | None:
        """The probability from which a class is in the prediction set, 0..1; None if it was not calibrated."""
        return self.metadata.set_threshold

    @property
    def task(self) -> Task:
        """Whether an image has one class ("multi-class") or any number of labels ("multi-label")."""
        return self.metadata.task

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The probability from which an image gets each label, 0..1; empty for "multi-class"."""
        return self.metadata.thresholds

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings for readers."""
        return self.metadata.notes

    @property
    def crops(self) -> Crops:
        """The crops of a larger image to average over."""
        return self.metadata.crops

    @property
    def ood_threshold(self) -> float | None:
        """The OOD score above which an image is unlike the training images; None if it is not known."""
        return self.metadata.ood_threshold

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return probabilities (n, classes) for uint8 images (n, 3, image_size, image_size)."""
        return self.outputs(pixels).probabilities

    def outputs(self, pixels: Pixels) -> Outputs:
        """Return probabilities and OOD scores for uint8 images (n, 3, image_size, image_size)."""
        probabilities, scores = [np.empty((0, len(self.class_names)), np.float32)], [np.empty(0, np.float32)]
        names = ["probabilities"] if self.ood_threshold is None else ["probabilities", "ood_scores"]
        for batch in iter_batches(pixels):
            images = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
            results = self.session.run(names, {"images": images})
            probabilities.append(results[0])
            scores.append(results[1] if len(results) > 1 else np.full(len(batch), np.nan, np.float32))
        return Outputs(np.concatenate(probabilities), np.concatenate(scores))


@dataclass(frozen=True)
class OnnxFile:
    """The path of an exported ONNX classifier."""

    path: Path

    def classifier(self) -> OnnxClassifier:
        """Open the file in onnxruntime.

        Raises:
            InputError: onnxruntime is not installed.
            ModelError: the file is missing or was not written by tinysight.
        """
        optional_deps.require("onnxruntime", extra="onnx")
        session = _session(self.path)
        try:
            metadata = Metadata.from_properties(session.get_modelmeta().custom_metadata_map)
            _check_interface(session, metadata)
        except (KeyError, ValueError) as error:  # pydantic's ValidationError is a ValueError
            raise ModelError(
                f"{self.path}: not written by `tinysight export`; metadata or shapes differ. Export the run again."
            ) from error
        return OnnxClassifier(session, metadata)

    def weights_checksum(self) -> str:
        """Return the SHA-256 (hex) of the file."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f"{self.path}: cannot be read. Give the path of an exported ONNX file.") from error


def _session(path: Path) -> InferenceSession:
    """Open the network from memory, so that onnxruntime cannot read external data files."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: larger than {MAX_BYTES >> 30} GiB. Give the path of an exported ONNX file.")
        return open_session(path.read_bytes())
    except ModelError:
        raise
    # onnxruntime's exceptions for damaged files have no common base class.
    except Exception as error:
        raise ModelError(
            f"{path}: missing, damaged or not an ONNX file. Give the path of an exported ONNX file."
        ) from error


def _check_interface(session: InferenceSession, metadata: Metadata) -> None:
    """Raise ValueError if the inputs or outputs are not those of an exported classifier."""
    nodes: list[Any] = [*session.get_inputs(), *session.get_outputs()]
    found = [(node.name, node.type, [size if isinstance(size, int) else None for size in node.shape]) for node in nodes]
    classes = len(metadata.class_names)
    expected = [
        ("images", "tensor(uint8)", [None, None, None, 3]),
        ("probabilities", "tensor(float)", [None, classes]),
        ("labels", "tensor(bool)", [None, classes])
        if metadata.task == "multi-label"
        else ("unsure", "tensor(bool)", [None]),
    ]
    if metadata.ood_threshold is not None:
        expected += [("ood_scores", "tensor(float)", [None]), ("unlike_training", "tensor(bool)", [None])]
    if found != expected:
        raise ValueError("unexpected inputs or outputs")
