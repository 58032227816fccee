"""In which numbers to compute: float32, or bfloat16 where the processor has it natively."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch
import torch.nn.functional as F

from tinysight.errors import InputError
from tinysight.machine import native_bf16

Precision = Literal["fp32", "bf16"]


def choose(asked: Literal["auto", "fp32", "bf16"]) -> Precision:
    """Return the precision to train in.

    `auto` takes bfloat16 only where it is native, since elsewhere it is emulated and slower than float32, and
    only if its convolutions are right here (torch has had versions in which some were not).

    Raises:
        InputError: bf16 was asked for by name and its convolutions are wrong on this machine.
    """
    if asked == "fp32" or (asked == "auto" and not native_bf16()):
        return "fp32"
    if convolutions_agree():
        return "bf16"
    if asked == "bf16":
        raise InputError("bfloat16 convolutions give wrong results on this machine; use --precision fp32.")
    return "fp32"


def autocast(precision: Precision) -> AbstractContextManager[None]:
    """Return the context in which convolutions and dense layers run in `precision`."""
    context: AbstractContextManager[None] = torch.autocast(
        "cpu", torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
    )
    return context


def convolutions_agree() -> bool:
    """Compare a bfloat16 convolution, forward and backward, with float32 on the notebooks' kinds of shapes."""
    shapes = [(3, 32, 3, 1, 1), (32, 32, 3, 1, 1), (64, 64, 3, 3, 0), (32, 32, 4, 1, 0)]
    return all(_agrees(*shape) for shape in shapes)


def _agrees(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> bool:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, inputs, 16, 16, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(outputs, inputs, kernel, kernel, generator=generator) / kernel
    exact, rough = (_gradient(images, weight, dtype, stride, padding) for dtype in (torch.float32, torch.bfloat16))
    return all(_close(a, b) for a, b in zip(exact, rough, strict=True))


def _gradient(
    images: torch.Tensor, weight: torch.Tensor, dtype: torch.dtype, stride: int, padding: int
) -> tuple[torch.Tensor, ...]:
    images, weight = (tensor.to(dtype).detach().requires_grad_() for tensor in (images, weight))
    result = F.conv2d(images, weight, stride=stride, padding=padding)
    result.float().square().mean().backward()
    return tuple(tensor.detach().float() for tensor in (result, images.grad, weight.grad) if tensor is not None)


def _close(exact: torch.Tensor, rough: torch.Tensor) -> bool:
    # bfloat16 keeps 8 bits: errors of a percent of the largest value are its nature, more is a fault.
    return bool((exact - rough).abs().max() <= 0.03 * exact.abs().max())
