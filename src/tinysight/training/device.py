"""The device to train on: the CPU, or a CUDA GPU."""

from __future__ import annotations

from typing import Literal

import torch

from tinysight._util.errors import InputError

Device = Literal["cpu", "cuda"]
DeviceOption = Literal["auto", "cpu", "cuda"]


def resolve_device(option: DeviceOption) -> Device:
    """Return the device to train on; `auto` uses CUDA when available.

    Raises:
        InputError: `cuda` was requested and is not available.
    """
    if option == "cpu" or torch.cuda.is_available():
        return "cpu" if option == "cpu" else "cuda"
    if option == "cuda":
        raise InputError(
            "device cuda: torch finds no CUDA GPU (see `tinysight doctor`). "
            "Use device cpu, or install a torch build with CUDA."
        )
    return "cpu"
