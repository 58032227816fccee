"""ONNX classifiers that tinysight exported, run by onnxruntime."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinysight._util import optional_deps
from tinysight._util.errors import ModelError
from tinysight.data.crops import Crops
from tinysight.data.dataset import Pixels
from tinysight.data.labels import Task
from tinysight.models.classifier import PredictorInfo, iter_batches

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MAX_BYTES = 2 * 2**30  # bytes; protobuf's limit for one file


class Metadata(PredictorInfo):
    """Metadata of an exported ONNX file; each property is JSON text."""

    format: Literal[1]

    @classmethod
    def of(cls, info: PredictorInfo) -> Metadata:
        """Return the metadata of a classifier."""
        return cls(format=1, **{name: getattr(info, name) for name in PredictorInfo.model_fields})

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
        image_size: height and width of the input images, in pixels.
        info: class names, threshold, notes and crops.
    """

    session: InferenceSession
    image_size: int
    info: PredictorInfo

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names, in the order of the probabilities."""
        return self.info.class_names

    @property
    def abstain_below(self) -> float:
        """The top-1 probability below which the classifier abstains, 0..1; above 1 if it always abstains."""
        return self.info.abstain_below

    @property
    def task(self) -> Task:
        """An image has one class: other classifiers cannot be exported."""
        return "multi-class"

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Thresholds of labels; empty."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings for readers."""
        return self.info.notes

    @property
    def crops(self) -> Crops:
        """The crops of a larger image to average over."""
        return self.info.crops

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return probabilities (n, classes) for uint8 images (n, 3, image_size, image_size)."""
        probabilities = [np.empty((0, len(self.class_names)), np.float32)]
        for batch in iter_batches(pixels):
            probabilities += self.session.run(None, {"images": np.ascontiguousarray(batch)})
        return np.concatenate(probabilities)


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
            image_size, num_classes = _shapes(session)
            metadata = Metadata.from_properties(session.get_modelmeta().custom_metadata_map)
            if len(metadata.class_names) != num_classes:
                raise ValueError("the numbers of class names and outputs differ")
        except (KeyError, ValueError) as error:  # pydantic's ValidationError is a ValueError
            raise ModelError(
                f"{self.path}: not written by `tinysight export`; metadata or shapes differ. Export the run again."
            ) from error
        return OnnxClassifier(session, image_size, metadata)

    def weights_checksum(self) -> str:
        """Return the SHA-256 (hex) of the file."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f"{self.path}: cannot be read. Give the path of an exported ONNX file.") from error


def _session(path: Path) -> InferenceSession:
    """Open the network from memory, so that onnxruntime cannot read external data files."""
    import onnxruntime

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: larger than {MAX_BYTES >> 30} GiB. Give the path of an exported ONNX file.")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # fatal only: the ModelError below replaces its messages
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except ModelError:
        raise
    # onnxruntime's exceptions for damaged files have no common base class.
    except Exception as error:
        raise ModelError(
            f"{path}: missing, damaged or not an ONNX file. Give the path of an exported ONNX file."
        ) from error


def _shapes(session: InferenceSession) -> tuple[int, int]:
    """Return the image size and the number of classes. Raises ValueError if the inputs or outputs differ."""
    inputs: list[Any] = session.get_inputs()
    outputs: list[Any] = session.get_outputs()
    if [node.name for node in inputs] != ["images"] or inputs[0].type != "tensor(uint8)" or len(outputs) != 1:
        raise ValueError("unexpected inputs or outputs")
    _, channels, height, width = inputs[0].shape
    _, num_classes = outputs[0].shape
    if channels != 3 or height != width or not isinstance(height, int) or not isinstance(num_classes, int):
        raise ValueError("unexpected shapes")
    return height, num_classes
