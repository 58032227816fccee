"""On what a network is trained: the processor, or a graphics card that torch can compute on."""

from __future__ import annotations

from typing import Literal

import torch

from tinysight.errors import InputError

Device = Literal["cpu", "cuda"]
Asked = Literal["auto", "cpu", "cuda"]


def choose(asked: Asked) -> Device:
    """Return the device to train on; `auto` takes a graphics card if there is one.

    Raises:
        InputError: a graphics card was asked for by name, and there is none that this torch can use.
    """
    if asked == "cpu" or torch.cuda.is_available():
        return "cpu" if asked == "cpu" else "cuda"
    if asked == "cuda":
        raise InputError(
            "--device cuda: there is no graphics card that this torch can use (see `tinysight doctor`); "
            "use --device cpu, or install a torch built for CUDA."
        )
    return "cpu"
