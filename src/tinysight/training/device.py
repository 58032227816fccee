"""The device to train on: the CPU, or a CUDA GPU."""

from __future__ import annotations

from typing import Literal

import torch

from tinysight.errors import InputError

Device = Literal["cpu", "cuda"]
Asked = Literal["auto", "cpu", "cuda"]


def choose(asked: Asked) -> Device:
    """Return the device to train on; `auto` uses CUDA when available.

    Raises:
        InputError: `cuda` was requested and is not available.
    """
    if asked == "cpu" or torch.cuda.is_available():
        return "cpu" if asked == "cpu" else "cuda"
    if asked == "cuda":
        raise InputError(
            "device cuda: torch finds no CUDA GPU (see `tinysight doctor`). "
            "Use device cpu, or install a torch build with CUDA."
        )
    return "cpu"
