"""Tensors on disk: safetensors only, with a checksum, and read with distrust."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tinysight.errors import RunError
from tinysight.files import write_bytes

LARGEST_FILE = 8 * 2**30  # bytes; far above any small-image classifier with its optimiser's memory


def write_tensors(tensors: dict[str, Tensor], state: dict[str, Any], path: Path) -> str:
    """Write tensors and a JSON state to one file, atomically, and return the SHA-256 that seals both.

    One file, because two could be torn apart by a power loss between them.
    """
    text = json.dumps(state, allow_nan=False)
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    seal = _seal(contiguous, text)
    write_bytes(path, save(contiguous, {"state": text, "sha256": seal}))
    return seal


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Return what `write_tensors` wrote: tensors, state and seal.

    Raises:
        RunError: the file is missing, truncated, altered, or not one of ours.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise RunError(f"{path} is far too large; it was not written by tinysight.")
        content = path.read_bytes()
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        text, seal = header["state"], header["sha256"]
        state = json.loads(text)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: {path.parent} is not complete.") from error
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path} is damaged or not written by tinysight ({error}).") from error
    if seal != _seal(tensors, text):
        raise RunError(f"{path} was altered after it was written; restore it from a copy or train again.")
    return tensors, state, seal


def require_finite(tensors: dict[str, Tensor], path: Path) -> None:
    """Raise RunError if any number in `tensors` is not finite; `path` names the file they came from."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise RunError(f"{path}: the weights {name!r} hold NaN or infinity; train again.")


def _seal(tensors: dict[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
