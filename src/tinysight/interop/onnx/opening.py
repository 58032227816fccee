"""An ONNX file that tinysight exported, asked as a run is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinysight import packages
from tinysight.data.dataset import Pixels
from tinysight.data.looks import WHOLE, Looks
from tinysight.errors import ModelError
from tinysight.models.classifier import batch_size

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LARGEST = 2 * 2**30  # bytes; the format itself holds no more in one file


class Facts(BaseModel):
    """What an exported file says of itself, beside its network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    class_names: tuple[str, ...] = Field(min_length=2)
    unsure_below: float = Field(ge=0)
    remarks: tuple[str, ...] = ()
    looks: Looks = WHOLE

    def as_metadata(self) -> dict[str, str]:
        """Return them as ONNX keeps metadata: each as JSON text."""
        return {key: json.dumps(value, ensure_ascii=False) for key, value in self.model_dump(mode="json").items()}

    @classmethod
    def of_metadata(cls, metadata: dict[str, str]) -> Facts:
        """Read them back. Raises ValueError if something is missing or strange."""
        return cls.model_validate({key: json.loads(metadata[key]) for key in cls.model_fields if key in metadata})


@dataclass(frozen=True)
class OnnxClassifier:
    """Takes plain images of 0..255, gives probabilities; the network runs in onnxruntime.

    Attributes:
        session: the network.
        image_size: height and width it takes, pixels.
        class_names: in the order of the probabilities.
        unsure_below: the probability of its first choice below which it is unsure.
        remarks: what a reader must know before trusting it.
        looks: what of a large picture it should be shown, one after the other.
    """

    session: InferenceSession
    image_size: int
    class_names: tuple[str, ...]
    unsure_below: float
    remarks: tuple[str, ...] = ()
    looks: Looks = WHOLE

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return probabilities (n, classes) for uint8 images (n, 3, image_size, image_size)."""
        size = batch_size(self.image_size)
        found = [np.empty((0, len(self.class_names)), np.float32)]
        for start in range(0, len(pixels), size):
            found += self.session.run(None, {"images": np.ascontiguousarray(pixels[start : start + size])})
        return np.concatenate(found)


@dataclass(frozen=True)
class OnnxFile:
    """Where such a classifier lies."""

    path: Path

    def classifier(self) -> OnnxClassifier:
        """Read it.

        Raises:
            InputError: onnxruntime is not installed.
            ModelError: there is no such file, or tinysight did not write it.
        """
        packages.require("onnxruntime", extra="onnx")
        session = _session(self.path)
        try:
            image_size, answers = _shape(session)
            facts = Facts.of_metadata(session.get_modelmeta().custom_metadata_map)
            if len(facts.class_names) != answers:
                raise ValueError("not a name for every answer")
        except (ValueError, ValidationError) as error:
            raise ModelError(
                f"{self.path} is not a classifier that `tinysight export` wrote: it lacks what that says of classes, "
                "or its images or answers have other shapes."
            ) from error
        return OnnxClassifier(session, image_size, facts.class_names, facts.unsure_below, facts.remarks, facts.looks)

    def weights_seal(self) -> str:
        """Return the SHA-256 (hex) of the file."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f"{self.path} cannot be read; name what `tinysight export` wrote.") from error


def _session(path: Path) -> InferenceSession:
    """Open the network from memory, where no part of it can lie in another file."""
    import onnxruntime

    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path} is larger than {LARGEST >> 30} GiB.")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is said below, in a sentence
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except ModelError:
        raise
    # onnxruntime gives no common class of what damaged files make it raise.
    except Exception as error:
        raise ModelError(f"{path} is missing, damaged or no ONNX file; name what `tinysight export` wrote.") from error


def _shape(session: InferenceSession) -> tuple[int, int]:
    """Return the image size and the number of answers. Raises ValueError for another kind of network."""
    inputs: list[Any] = session.get_inputs()
    outputs: list[Any] = session.get_outputs()
    if [one.name for one in inputs] != ["images"] or inputs[0].type != "tensor(uint8)" or len(outputs) != 1:
        raise ValueError("another input or output")
    _, channels, height, width = inputs[0].shape
    _, answers = outputs[0].shape
    if channels != 3 or height != width or not isinstance(height, int) or not isinstance(answers, int):
        raise ValueError("another shape")
    return height, answers
