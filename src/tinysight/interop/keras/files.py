"""Open the files that Keras saves models in: .keras, .h5 with the whole model, or an architecture with its weights."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tinysight._util.errors import ModelError
from tinysight.interop.keras import hdf5
from tinysight.interop.keras.architecture import MAX_BYTES, KerasArchitecture, parse_architecture, read_architecture

_LARGEST_MEMBER = 2**30  # bytes of one file in a .keras archive
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ZIP_SIGNATURE = b"PK\x03\x04"


@dataclass(frozen=True)
class KerasFiles:
    """The architecture and the weights of a Keras model.

    `weights` is the path of an HDF5 file, or the content of one in a .keras archive; `name` is its name in errors.
    """

    architecture: KerasArchitecture
    weights: Path | BinaryIO
    name: str

    @classmethod
    def open(cls, model: Path, weights: Path | None, logits: bool = False) -> KerasFiles:
        """Open a whole model (.keras or .h5), or an architecture and its weights. The content decides, not the name.

        `logits` reads the outputs as logits, whatever the last activation is.

        Raises:
            ModelError: a file cannot be read, or is not one that Keras saved.
        """
        signature = _signature(model)
        if signature == _HDF5_SIGNATURE or (signature[:4] != _ZIP_SIGNATURE and model.suffix in (".h5", ".hdf5")):
            text = _read_hdf5_architecture(model)
            _check_no_weights(model, weights)
            return cls(parse_architecture(text, str(model), logits), model, str(model))
        if signature[:4] == _ZIP_SIGNATURE or model.suffix == ".keras":
            _check_no_weights(model, weights)
            text, content = _unzip(model)
            architecture = parse_architecture(text, f"{model}/config.json", logits)
            return cls(architecture, content, f"{model}/model.weights.h5")
        if weights is None:
            raise ModelError(f"{model}: contains no weights. Give its weights file (.h5) as well.")
        return cls(read_architecture(model, logits), weights, str(weights))


def _signature(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(_HDF5_SIGNATURE))
    except OSError:
        return b""  # the reader of the format reports the error


def _check_no_weights(model: Path, weights: Path | None) -> None:
    if weights is not None:
        raise ModelError(f"{model}: contains its own weights. Omit {weights}.")


def _read_hdf5_architecture(path: Path) -> str:
    """Return the architecture in a whole-model HDF5 file. Raises ModelError if the file has weights only."""
    with hdf5.open_hdf5(path, str(path)) as file:
        text = hdf5.read_text(file, "model_config", MAX_BYTES)
    if text is None:
        raise ModelError(
            f"{path}: contains weights without an architecture. Give the JSON file from `model.to_json()` before it."
        )
    return text


def _unzip(path: Path) -> tuple[str, BinaryIO]:
    """Return the architecture and the weights from a .keras file, which is a ZIP archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name, limit in (("config.json", MAX_BYTES), ("model.weights.h5", _LARGEST_MEMBER)):
                if archive.getinfo(name).file_size > limit:
                    raise ModelError(f"{path}/{name}: larger than {limit:,} bytes. Give a smaller model.")
            return archive.read("config.json").decode(), io.BytesIO(archive.read("model.weights.h5"))
    except (OSError, EOFError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(
            f"{path}: missing, damaged or not a .keras file. Give a file that `model.save()` wrote."
        ) from error
