"""Read and write tensors as safetensors files with a checksum."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tinysight._util.errors import RunError
from tinysight._util.files import write_bytes

MAX_FILE_BYTES = 8 * 2**30  # bytes; far above any small-image classifier with its optimizer state


def write_tensors(tensors: dict[str, Tensor], state: dict[str, Any], path: Path) -> str:
    """Write tensors and a JSON state atomically to one file, and return the SHA-256 of both.

    A power loss between the writes of two files could leave them out of step; one file cannot be.
    """
    text = json.dumps(state, allow_nan=False)
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    checksum = _checksum(contiguous, text)
    write_bytes(path, save(contiguous, {"state": text, "sha256": checksum}))
    return checksum


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Return the tensors, the state and the checksum that `write_tensors` wrote.

    Raises:
        RunError: the file is missing, truncated, modified, or was not written by tinysight.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RunError(f"{path}: larger than {MAX_FILE_BYTES:,} bytes. It was not written by tinysight.")
        content = path.read_bytes()
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        text, checksum = header["state"], header["sha256"]
        state = json.loads(text)
    except FileNotFoundError as error:
        raise RunError(f"{path}: missing. Restore it from a copy or train again.") from error
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path}: damaged or not written by tinysight ({error}). Restore it from a copy.") from error
    if checksum != _checksum(tensors, text):
        raise RunError(f"{path}: modified after it was written. Restore it from a copy or train again.")
    return tensors, state, checksum


def check_finite(tensors: dict[str, Tensor], path: Path) -> None:
    """Raise RunError if a value in `tensors`, read from `path`, is NaN or infinite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise RunError(f"{path}: the weights {name!r} contain NaN or infinity. Train again.")


def _checksum(tensors: dict[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
