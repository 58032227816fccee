"""How much of what the machine's matrix units can do a whole training makes use of.

The machine's rate is that of a product of two 2,048 x 2,048 matrices in bfloat16, measured before and after the
training in the same run. The work of the training is that of its convolutions and its last layer alone (two operations
a multiply-add; forward, gradient of the weights, gradient of the input where one is needed): all else it does counts as
time lost.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from tinysight.models.registry import build
from tinysight.recipes.schema import Recipe

SIDE, PRODUCTS = 2048, 20


def share(recipe: Recipe, seen: float, seconds: float, machine: float) -> dict[str, float]:
    """Return operations a second of a machine and of a training that saw `seen` images, and what share these are."""
    size = recipe.data.image_size
    training = seen * operations(build(recipe.model, 10, size), size) / seconds
    return {
        "machine_gflops": round(machine / 1e9, 1),
        "training_gflops": round(training / 1e9, 1),
        "share": round(training / machine, 4),
    }


def matrix_rate() -> float:
    """Return the operations a second of the machine's own matrix product in bfloat16: the best of five turns."""
    one, other = (torch.randn(SIDE, SIDE).bfloat16() for _ in range(2))
    times = []
    for _ in range(6):  # the first warms up
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            one @ other
        times.append(time.perf_counter() - start)
    return PRODUCTS * 2 * SIDE**3 / min(times[1:])


def operations(network: nn.Sequential, image_size: int) -> float:
    """Return the operations that one image costs in training."""
    found: list[float] = []

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        weight: Tensor = layer.weight
        multiply_adds = output.numel() * weight[0].numel()
        ways = 2 if not found else 3  # nothing before the first trained layer wants a gradient
        found.append(2 * ways * multiply_adds)

    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, image_size, image_size))
    return sum(found)
