"""Numeric precision: float32, or bfloat16 where it is native, correct and faster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysight._util.errors import InputError
from tinysight._util.hardware import native_bf16
from tinysight._util.progress import SILENT, Progress
from tinysight.models.network import NetworkFactory
from tinysight.models.registry import build_network, family_of
from tinysight.recipes.schema import Recipe
from tinysight.training.device import Device

Precision = Literal["fp32", "bf16"]
PrecisionOption = Literal["auto", "fp32", "bf16"]

PROBE_IMAGES = 128  # images per speed probe
MIN_PROBE_SECONDS = 0.4  # seconds; another process can slow down the whole of a shorter probe
MAX_BF16_TIME_RATIO = 0.9  # of the float32 time; a smaller gain would make the choice vary between runs
_CHECK_IMAGES = 8  # per correctness check


def resolve_precision(
    option: PrecisionOption,
    recipe: Recipe,
    device: Device = "cpu",
    progress: Progress = SILENT,
    network_factory: NetworkFactory | None = None,
    num_classes: int = 10,
) -> Precision:
    """Return the precision to train in.

    `auto` chooses bfloat16 if it is native rather than emulated, if this network's convolutions are correct in it (in
    some torch versions they were not), and if a step takes less than `MAX_BF16_TIME_RATIO` of the float32 time.
    `num_classes` is the number of outputs; a network of architecture "layers" is built with no other.

    Raises:
        InputError: bf16 was requested and a convolution is wrong in it on this machine.
    """
    is_frozen = family_of(recipe.model, network_factory).is_frozen  # then torch computes almost nothing
    if option == "fp32" or is_frozen or (option == "auto" and not _native(device)):
        return "fp32"
    size = recipe.data.image_size
    network = build_network(recipe.model, num_classes, size, network_factory).to(device)
    if fault := find_bf16_fault(network, size):
        if option == "bf16":
            raise InputError(f"precision bf16: results on this machine are wrong in {fault}. Use precision fp32.")
        progress.note(f"precision bf16: results on this machine are wrong in {fault}. Training in float32.")
        return "fp32"
    if option == "bf16" or recipe.training.method == "probe":  # it computes no gradients, and half the bytes always pay
        return "bf16"
    bf16_seconds, fp32_seconds = step_seconds(network, size, ["bf16", "fp32"])
    return "bf16" if bf16_seconds < MAX_BF16_TIME_RATIO * fp32_seconds else "fp32"


def autocast(precision: Precision, device: Device = "cpu") -> AbstractContextManager[None]:
    """Return a context manager in which convolutions and dense layers run in `precision`."""
    context: AbstractContextManager[None] = torch.autocast(
        device, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
    )
    return context


def find_bf16_fault(network: nn.Module, image_size: int) -> str:
    """Return the first convolution whose bfloat16 results differ from float32, or "" if there is none."""
    for layer, images in _convolutions(network, image_size):
        fp32, bf16 = (_gradients(layer, images, dtype) for dtype in (torch.float32, torch.bfloat16))
        if not all(_close(expected, actual) for expected, actual in zip(fp32, bf16, strict=True)):
            return f"convolutions like {layer}"
    return ""


def step_seconds(network: nn.Module, image_size: int, precisions: Sequence[Precision]) -> list[float]:
    """Return the seconds of one forward and backward pass of `PROBE_IMAGES` images in each precision.

    Each is the minimum of at least three. The precisions alternate, so that load from other processes affects all.
    """
    images = torch.zeros(PROBE_IMAGES, 3, image_size, image_size, device=_device(network))
    images = images.contiguous(memory_format=torch.channels_last)
    rounds: list[list[float]] = []
    while len(rounds) < 3 or sum(map(sum, rounds)) < MIN_PROBE_SECONDS:  # the first round warms up
        rounds.append([_time_step(network, images, precision) for precision in precisions])
    return [min(times) for times in zip(*rounds, strict=True)]


def _time_step(network: nn.Module, images: Tensor, precision: Precision) -> float:
    start = time.perf_counter()
    with autocast(precision, _device(network)):
        logits = network(images)
    loss = logits.float().square().mean()
    loss.backward()
    loss.item()  # CUDA kernels run asynchronously; this waits for them
    return time.perf_counter() - start


def _native(device: Device) -> bool:
    return native_bf16() if device == "cpu" else bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _device(network: nn.Module) -> Device:
    return "cpu" if next(network.parameters()).device.type == "cpu" else "cuda"


def _convolutions(network: nn.Module, image_size: int) -> Iterator[tuple[nn.Conv2d, Tensor]]:
    """Yield each convolution with random inputs of the shape that it receives in the network."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(_CHECK_IMAGES, 3, image_size, image_size, generator=generator).to(_device(network))
    inputs: list[tuple[nn.Conv2d, torch.Size]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, values: inputs.append((layer, values[0].shape)))
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    for layer, shape in inputs:
        noise = torch.randn(shape, generator=generator).to(images.device)
        yield layer, noise.contiguous(memory_format=torch.channels_last)


def _gradients(layer: nn.Conv2d, images: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    images, weight = (tensor.detach().to(dtype).requires_grad_() for tensor in (images, layer.weight))
    output = F.conv2d(
        images, weight, stride=layer.stride, padding=layer.padding, dilation=layer.dilation, groups=layer.groups
    )
    output.float().square().mean().backward()
    return tuple(tensor.detach().float() for tensor in (output, images.grad, weight.grad) if tensor is not None)


def _close(expected: Tensor, actual: Tensor) -> bool:
    # bfloat16 has 8 significant bits: errors of 1 % of the largest value are normal, above 3 % is a fault.
    return bool((expected - actual).abs().max() <= 0.03 * expected.abs().max())
