"""In which numbers to compute: float32, or bfloat16 where the processor has it natively."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysight.errors import InputError
from tinysight.machine import native_bf16
from tinysight.models.registry import build
from tinysight.progress import SILENT, Progress
from tinysight.recipes.schema import Recipe
from tinysight.training.device import Device

Precision = Literal["fp32", "bf16"]
Asked = Literal["auto", "fp32", "bf16"]

PROBED = 128  # images in the probe of the speed
LONG_ENOUGH = 0.4  # seconds; a shorter probe may fall as a whole into a moment that something else takes
CLEARLY = 0.9  # of the time; less of a difference would make another choice each time
_CHECKED = 8  # images in the probe of the results


def choose(asked: Asked, recipe: Recipe, device: Device = "cpu", progress: Progress = SILENT) -> Precision:
    """Return the precision to train in.

    `auto` takes bfloat16 only where it is native, since elsewhere it is emulated, only if the convolutions of this very
    network are right in it (torch has had versions in which some were not), and only if a step is clearly faster.

    Raises:
        InputError: bf16 was asked for by name and a convolution is wrong in it on this machine.
    """
    if asked == "fp32" or (asked == "auto" and not _native(device)):
        return "fp32"
    size = recipe.data.image_size
    network = build(recipe.model, classes=10, image_size=size).to(device)
    if wrong := wrong_convolution(network, size):
        if asked == "bf16":
            raise InputError(f"bfloat16 gives wrong results on this machine in {wrong}; use --precision fp32.")
        progress.note(f"bfloat16 gives wrong results on this machine in {wrong}: training in float32.")
        return "fp32"
    if asked == "bf16":
        return "bf16"
    rough, exact = step_seconds(network, size, ["bf16", "fp32"])
    return "bf16" if rough < CLEARLY * exact else "fp32"


def autocast(precision: Precision, device: Device = "cpu") -> AbstractContextManager[None]:
    """Return the context in which convolutions and dense layers run in `precision`."""
    context: AbstractContextManager[None] = torch.autocast(
        device, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
    )
    return context


def wrong_convolution(network: nn.Sequential, image_size: int) -> str:
    """Return the first convolution of `network` whose bfloat16 is not close to its float32, in words; "" if none."""
    for layer, images in _convolutions(network, image_size):
        exact, rough = (_gradients(layer, images, dtype) for dtype in (torch.float32, torch.bfloat16))
        if not all(_close(a, b) for a, b in zip(exact, rough, strict=True)):
            return f"convolutions like {layer}"
    return ""


def step_seconds(network: nn.Sequential, image_size: int, precisions: Sequence[Precision]) -> list[float]:
    """Return how long `network` needs for some images and their gradients in each precision: the shortest of several.

    They take turns, so that a moment in which the machine does something else does not favour one of them.
    """
    images = torch.zeros(PROBED, 3, image_size, image_size, device=_device(network))
    images = images.contiguous(memory_format=torch.channels_last)
    turns: list[list[float]] = []
    while len(turns) < 3 or sum(map(sum, turns)) < LONG_ENOUGH:  # the first warms up
        turns.append([_timed(network, images, precision) for precision in precisions])
    return [min(times) for times in zip(*turns, strict=True)]


def _timed(network: nn.Sequential, images: Tensor, precision: Precision) -> float:
    start = time.perf_counter()
    with autocast(precision, _device(network)):
        logits = network(images)
    loss = logits.float().square().mean()
    loss.backward()
    loss.item()  # a graphics card computes on its own until somebody asks for a result
    return time.perf_counter() - start


def _native(device: Device) -> bool:
    return native_bf16() if device == "cpu" else bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _device(network: nn.Sequential) -> Device:
    return "cpu" if next(network.parameters()).device.type == "cpu" else "cuda"


def _convolutions(network: nn.Sequential, image_size: int) -> Iterator[tuple[nn.Conv2d, Tensor]]:
    """Yield each trained convolution with random images of the very shape that it is given."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(_CHECKED, 3, image_size, image_size, generator=generator).to(_device(network))
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            noise = torch.randn(images.shape, generator=generator).to(images.device)
            yield layer, noise.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            images = layer(images)


def _gradients(layer: nn.Conv2d, images: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    images, weight = (tensor.detach().to(dtype).requires_grad_() for tensor in (images, layer.weight))
    result = F.conv2d(images, weight, stride=layer.stride, padding=layer.padding)
    result.float().square().mean().backward()
    return tuple(tensor.detach().float() for tensor in (result, images.grad, weight.grad) if tensor is not None)


def _close(exact: Tensor, rough: Tensor) -> bool:
    # bfloat16 keeps 8 bits: errors of a percent of the largest value are its nature, more is a fault.
    return bool((exact - rough).abs().max() <= 0.03 * exact.abs().max())
