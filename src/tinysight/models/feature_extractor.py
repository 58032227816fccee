"""Feature extractors: ONNX files of a user, run by onnxruntime."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tinysight._util import optional_deps
from tinysight._util.errors import ModelError
from tinysight._util.onnx_session import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

EXTRA = "onnx"
DEFAULT_SIDE = 224  # pixels, of the images that a file of any size is tried with


class FeatureExtractor:
    """An ONNX network from images to features.

    It has one float32 input, (n, 3, height, width) or (n, height, width, 3), and one float32 output: the features
    (n, d), or maps of them in the layout of the input, which are averaged over height and width. `n` may be fixed to 1.

    Attributes:
        name: of the file, for messages.
        session: of onnxruntime.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Open the content of a file.

        Raises:
            InputError: onnxruntime is not installed.
            ModelError: the content is no ONNX file, or its inputs or outputs do not fit.
        """
        optional_deps.require("onnxruntime", extra=EXTRA)
        self.name = name
        try:
            self.session: InferenceSession = open_session(content, torch.get_num_threads())
        except Exception as error:  # those of onnxruntime have no common base class
            raise ModelError(
                f"{name}: damaged, not an ONNX file, or in several files ({_first_line(error)}). Export the network "
                "again, to one file."
            ) from error
        self._check()

    @property
    def side(self) -> int | None:
        """The height and width of the images that it takes, in pixels, or None if it takes any size."""
        side = self._sides[0]
        return side if isinstance(side, int) else None

    @cached_property
    def n_features(self) -> int:
        """The number of features, measured on an image.

        Raises:
            ModelError: the network fails, or its output does not fit.
        """
        side = self.side or DEFAULT_SIDE
        return int(self(np.zeros((1, 3, side, side), np.float32)).shape[1])

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features, float32, (n, d), of normalized images (n, 3, height, width).

        Raises:
            ModelError: the network fails at images of this size, or its output does not fit.
        """
        inputs = np.ascontiguousarray(images.transpose(0, 2, 3, 1) if self._is_channels_last else images)
        parts = np.split(inputs, len(inputs)) if self._shape[0] == 1 else [inputs]
        return np.concatenate([self._run(part) for part in parts])

    def _run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        (node,) = self.session.get_inputs()
        try:
            (output,) = self.session.run(None, {node.name: inputs})
        except Exception as error:  # those of onnxruntime have no common base class
            raise ModelError(
                f"{self.name}: fails at images of {'x'.join(map(str, inputs.shape[1:]))} ({_first_line(error)}). Set "
                "data.image_size to the size that it was exported for."
            ) from error
        if output.ndim == 4:
            output = output.mean((1, 2) if self._is_channels_last else (2, 3))
        if output.ndim != 2 or len(output) != len(inputs):
            raise ModelError(
                f"{self.name}: its output has the shape {output.shape} for {len(inputs)} image(s), which is neither "
                "(n, d) nor maps of features. Export the pooled features."
            )
        features: NDArray[np.float32] = output
        return features

    def _check(self) -> None:
        """Raise ModelError if the inputs or outputs do not fit."""
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{self.name}: has {len(inputs)} inputs and {len(outputs)} outputs. Export a network with one input, "
                "the images, and one output, the features."
            )
        for node in (inputs[0], outputs[0]):
            if node.type != "tensor(float)":
                raise ModelError(
                    f"{self.name}: {node.name} is of type {node.type}, not float32. Export a network from float32 "
                    "images to features. To start from a run, give the run, not its export."
                )
        self._check_shape()

    def _check_shape(self) -> None:
        """Raise ModelError if the input is not images."""
        shape = self._shape
        takes_images = len(shape) == 4 and 3 in (shape[1], shape[3])
        if not takes_images or (isinstance(shape[0], int) and shape[0] != 1):
            raise ModelError(
                f"{self.name}: its input has the shape {tuple(shape)}, which is neither (n, 3, height, width) nor "
                "(n, height, width, 3). Export a network that takes batches of any size."
            )
        height, width = (size if isinstance(size, int) else None for size in self._sides)
        if height != width:
            raise ModelError(
                f"{self.name}: takes images of {height or 'any'}x{width or 'any'}. Export a network that takes "
                "squares, or any size."
            )

    @property
    def _sides(self) -> list[Any]:
        return self._shape[1:3] if self._is_channels_last else self._shape[2:]

    @property
    def _shape(self) -> list[Any]:
        shape: list[Any] = self.session.get_inputs()[0].shape
        return shape

    @property
    def _is_channels_last(self) -> bool:
        return bool(self._shape[1] != 3)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
